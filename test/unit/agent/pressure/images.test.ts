/** Which images are removed, and which never. */
import { spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import t from 'tap'
import { fullReference, ImageCollector, judgeImage } from '../../../../agent/pressure/image-collector.ts'
import { ImageRecords } from '../../../../agent/pressure/image-records.ts'
import { countedFor, directorySize } from '../../../../agent/pressure/pod-usage.ts'
import { createLogger } from '../../../../kit/index.ts'
import { ManualClock } from '../../server/master/manual-clock.ts'

const log = createLogger('test', 'silent')

t.test('an image is judged', async t => {
  const record = { reference: 'web:1', id: 'sha256:a', pulledAt: 1_000, usedAt: 1_000 }
  const judge = (
    facts: { id: string; names: readonly string[] } | undefined,
    { inUse = [] as string[], known = ['web:1'], now = 10_000 } = {},
  ) => judgeImage(record, facts, new Set(inUse), new Set(known), now, 5_000)
  t.equal(judge({ id: 'sha256:a', names: ['web:1'] }), 'remove')
  t.equal(judge({ id: 'sha256:a', names: [] }), 'remove')
  t.equal(judge(undefined), 'forget', 'it is gone')
  t.equal(judge({ id: 'sha256:b', names: ['web:1'] }), 'forget', 'somebody has made another of that name')
  t.equal(judge({ id: 'sha256:a', names: ['web:1'] }, { inUse: ['sha256:a'] }), 'used')
  t.equal(judge({ id: 'sha256:a', names: ['web:1', 'mine:1'] }), 'keep', 'somebody has named it')
  t.equal(judge({ id: 'sha256:a', names: ['web:1', 'web:2'] }, { known: ['web:1', 'web:2'] }), 'remove')
  t.equal(judge({ id: 'sha256:a', names: ['web:1'] }, { now: 2_000 }), 'keep', 'it is young')
  t.strictSame(['web', 'h:5000/web', 'web:2', 'web@sha256:1'].map(fullReference), [
    'web:latest',
    'h:5000/web:latest',
    'web:2',
    'web@sha256:1',
  ])
})

async function records(t: { teardown(work: () => Promise<void>): unknown }) {
  const directory = await mkdtemp(path.join(tmpdir(), 'image-records-'))
  t.teardown(() => rm(directory, { recursive: true }))
  return { directory, open: () => new ImageRecords(path.join(directory, 'images.json'), log) }
}

t.test('what was there before is not recorded; what was pulled is, also after a restart', async t => {
  const { open } = await records(t)
  const first = open()
  await first.load()
  await first.pulled('theirs:1', 'sha256:x', 'sha256:x', 1)
  await first.pulled('theirs:2', 'sha256:x', 'sha256:y', 1)
  await first.pulled('ours:1', undefined, 'sha256:a', 1)
  await first.pulled('ours:1', 'sha256:a', 'sha256:b', 2)
  await first.used(['ours:1', 'theirs:1'], 3)
  const second = open()
  await second.load()
  t.strictSame(
    second.all().toSorted((a, b) => a.id.localeCompare(b.id)),
    [
      { reference: 'sha256:a', id: 'sha256:a', pulledAt: 1, usedAt: 1 },
      { reference: 'ours:1', id: 'sha256:b', pulledAt: 2, usedAt: 3 },
    ],
  )
  await second.pulled('ours:1', 'sha256:somebody', 'sha256:c', 4)
  t.equal(
    second.all().find(({ reference }) => reference === 'ours:1')?.id,
    'sha256:b',
    'somebody made it theirs',
  )
  await second.forget('ours:1')
  t.equal(second.all().length, 1)
})

t.test('the longest unused go first, until there is enough', async t => {
  const { open } = await records(t)
  const known = open()
  const clock = new ManualClock()
  for (const [index, name] of ['old', 'used', 'newer', 'busy', 'foreign'].entries()) {
    await known.pulled(`${name}:1`, undefined, `sha256:${name}`, clock.now() + index)
  }
  clock.advance(600_000)
  const images = new Map(
    ['old', 'used', 'newer', 'busy', 'foreign', 'users'].map(name => [
      `${name}:1`,
      { id: `sha256:${name}`, names: name === 'foreign' ? ['foreign:1', 'mine:1'] : [`${name}:1`] },
    ]),
  )
  const happenings: string[] = []
  let available = 100
  const settings = { imagesHigh: 0.85, imagesLow: 0.8, imageAge: 120_000 }
  const collector = new ImageCollector({
    ...{ settings, records: known, log, clock },
    space: async () => ({ available, capacity: 1000 }),
    engine: {
      imageFacts: async reference => images.get(reference),
      removeImage: async reference => {
        if (reference === 'busy:1') throw new Error('conflict: it is being used')
        images.delete(reference)
        available += 60
      },
    },
    inUse: () => new Set(['sha256:used']),
    onHappening: (reason, message) => happenings.push(`${reason}: ${message}`),
  })
  await collector.look()
  t.strictSame([...images.keys()], ['used:1', 'busy:1', 'foreign:1', 'users:1'])
  t.strictSame(happenings, [], 'two were enough')
  available = 100
  await collector.look()
  t.strictSame([...images.keys()], ['used:1', 'busy:1', 'foreign:1', 'users:1'])
  t.match(happenings, [
    /^ImageGCFailed: Failed to garbage collect required amount of images\. Attempted to free 100, but only found 0/,
  ])
  available = 160
  await collector.look()
  t.equal(happenings.length, 1, 'below the high mark nothing is wanted')
})

t.test('what counts when something is scarce', async t => {
  t.strictSame(countedFor('memory.available', true), { processes: true, layers: false, volumes: false })
  t.strictSame(countedFor('nodefs.available', true), { processes: false, layers: true, volumes: true })
  t.strictSame(countedFor('nodefs.inodesFree', false), { processes: false, layers: false, volumes: true })
  t.strictSame(countedFor('imagefs.available', false), { processes: false, layers: true, volumes: false })
})

t.test('the size of a directory', async t => {
  const directory = await mkdtemp(path.join(tmpdir(), 'directory-size-'))
  t.teardown(() => rm(directory, { recursive: true }))
  await writeFile(path.join(directory, 'file'), Buffer.alloc(1_000_000, 1))
  t.ok((await directorySize(directory)) >= 1_000_000)
  t.ok((await directorySize(directory)) < 1_100_000)
})

t.test('what a directory takes is known, whatever comes and goes in it', { timeout: 60_000 }, async t => {
  const directory = await mkdtemp(path.join(tmpdir(), 'drover-usage-'))
  const restless = spawn('sh', ['-c', 'while :; do mkdir -p a/b/c d/e/f; mv a g; rm -r d g; done'], {
    cwd: directory,
    stdio: 'ignore',
  })
  const ended = new Promise(resolve => restless.once('close', resolve))
  t.teardown(async () => {
    restless.kill('SIGKILL')
    await ended
    await rm(directory, { recursive: true, maxRetries: 5 })
  })
  for (let count = 0; count < 400; count += 1) await directorySize(directory)
  t.pass('it never failed')
})
