/** Which static pods run, by what is in the directory; and their mirrors. */
import { EventEmitter, once } from 'node:events'
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import t, { type Test } from 'tap'
import { PodStore } from '../../../../agent/runtime/pod-store.ts'
import { MirrorPods } from '../../../../agent/static-pods/mirror-pods.ts'
import { StaticPods } from '../../../../agent/static-pods/static-pods.ts'
import { createLogger, DroverError } from '../../../../kit/index.ts'
import type { Pod, PodStatus } from '../../../../protocol/kubernetes/index.ts'

const log = createLogger('test', 'silent')

// Timers of the agent keep no process alive.
const alive = setInterval(() => undefined, 60_000)
t.teardown(() => clearInterval(alive))

const manifest = (name: string, image = 'i:1') =>
  JSON.stringify({
    ...{ apiVersion: 'v1', kind: 'Pod', metadata: { name } },
    spec: { containers: [{ name: 'main', image }], terminationGracePeriodSeconds: 3 },
  })

async function setUp(t: Test) {
  const root = await mkdtemp(path.join(tmpdir(), 'static-pods-'))
  const directory = path.join(root, 'static')
  const store = new PodStore(path.join(root, 'pods'), log)
  await store.load()
  const seen = new EventEmitter()
  const problems: string[] = []
  const make = () =>
    new StaticPods({
      ...{ directory, nodeName: 'h1', store, log },
      onChange: () => seen.emit('change'),
      onProblem: (file, message) => {
        problems.push(`${file}: ${message}`)
        seen.emit('change')
      },
    })
  let pods = make()
  t.teardown(async () => {
    await pods.stop()
    await rm(root, { recursive: true })
  })
  await pods.start()
  const now = () =>
    pods
      .pods()
      .map(
        ({ metadata, spec }) =>
          `${metadata.name} ${spec.containers[0]?.image}${metadata.deletionTimestamp === undefined ? '' : ' ends'}`,
      )
  return {
    store,
    directory,
    problems,
    now,
    write: (file: string, text: string) => writeFile(path.join(directory, file), text),
    remove: (file: string) => rm(path.join(directory, file)),
    until: async (...wanted: string[]) => {
      while (JSON.stringify(now().toSorted()) !== JSON.stringify(wanted.toSorted()))
        await once(seen, 'change')
    },
    untilProblem: async (count: number) => {
      while (problems.length < count) await once(seen, 'change')
    },
    end: (name: string) => {
      const pod = pods.pods().find(({ metadata }) => metadata.name === name)
      if (pod !== undefined) pods.ended(pod)
    },
    restart: async () => {
      await pods.stop()
      pods = make()
      await pods.start()
    },
  }
}

t.test('files begin, replace and end pods', async t => {
  const world = await setUp(t)
  await world.write('a.yaml', manifest('a'))
  await world.write('b.yaml', manifest('b'))
  await world.write('.hidden', manifest('c'))
  await world.until('a-h1 i:1', 'b-h1 i:1')
  await world.write('a.yaml', manifest('a', 'i:2'))
  await world.until('a-h1 i:1 ends', 'b-h1 i:1')
  const [ending] = world.store.uids().flatMap(uid => world.store.get(uid) ?? [])
  t.equal(ending?.metadata.deletionGracePeriodSeconds, 3)
  world.end('a-h1')
  await world.until('a-h1 i:2', 'b-h1 i:1')
  await world.remove('b.yaml')
  await world.until('a-h1 i:2', 'b-h1 i:1 ends')
  await world.restart()
  t.strictSame(world.now().toSorted(), ['a-h1 i:2', 'b-h1 i:1 ends'], 'also when the agent is another one')
  world.end('b-h1')
  await world.until('a-h1 i:2')
})

t.test("a file that makes no sense is told about, and stands in nobody's way", async t => {
  const world = await setUp(t)
  await world.write('bad.yaml', '{')
  await world.write('good.yaml', manifest('good'))
  await world.until('good-h1 i:1')
  t.match(world.problems, [/^bad\.yaml: /])
  await world.write('good.yaml', 'nonsense')
  await world.untilProblem(2)
  t.strictSame(world.now(), ['good-h1 i:1'], 'what it said before runs on')
  await world.write('good.yaml', manifest('good'))
  await world.write('twin.yaml', manifest('good', 'i:3'))
  await world.untilProblem(3)
  t.match(world.problems[2], /twin\.yaml: .*same name as good\.yaml/)
  await world.write('large.yaml', 'x'.repeat(300_000))
  await world.untilProblem(4)
  t.match(world.problems[3], /larger than/)
  await symlink('/dev/null', path.join(world.directory, 'device.yaml'))
  await world.untilProblem(5)
  t.match(world.problems[4], /no regular file/)
  t.strictSame(world.now(), ['good-h1 i:1'])
})

t.test('mirrors', async t => {
  const cluster = new Map<string, Pod>()
  const calls: string[] = []
  const told = new EventEmitter()
  let pods: Pod[] = []
  const statuses: [string, string | undefined][] = []
  const show = (mirror: Pod | undefined, previous: Pod | undefined) => {
    calls.push(mirror === undefined ? 'gone' : 'made')
    mirrors.observed(mirror, previous)
    told.emit('change')
  }
  let made = 0
  const client = {
    get: async () => ({ metadata: { name: 'h1', uid: 'node-uid' } }),
    create: async (_: string, mirror: Pod) => {
      const { name } = mirror.metadata
      if (cluster.has(name)) throw new DroverError('AlreadyExists', { status: 409, message: 'exists' })
      made += 1
      const created = { ...mirror, metadata: { ...mirror.metadata, uid: `m${made}` } }
      cluster.set(name, created)
      show(created, undefined)
    },
    delete: async (target: string, { preconditions }: { preconditions: { uid: string } }) => {
      const name = target.split('/').at(-1) ?? ''
      const before = cluster.get(name)
      if (before?.metadata.uid !== preconditions.uid)
        throw new DroverError('Conflict', { status: 409, message: 'uid' })
      cluster.delete(name)
      show(undefined, before)
    },
  }
  const mirrors = new MirrorPods({
    ...{ client: client as never, nodeName: 'h1', log },
    pods: () => pods,
    report: (mirror, { phase }) => {
      statuses.push([mirror.metadata.uid ?? '', phase])
      told.emit('change')
    },
  })
  t.teardown(() => mirrors.stop())
  await mirrors.start()
  const until = async (check: () => boolean) => {
    while (!check()) await once(told, 'change')
  }
  const pod = (uid: string): Pod => ({
    metadata: {
      name: 'web-h1',
      namespace: 'default',
      uid,
      annotations: { 'kubernetes.io/config.source': 'file' },
    },
    spec: { containers: [{ name: 'main', image: 'i' }] },
  })
  const running: PodStatus = { phase: 'Running' }

  pods = [pod('s1')]
  mirrors.report(pod('s1'), running)
  await until(() => statuses.length > 0)
  t.strictSame(statuses[0], ['m1', 'Running'])
  t.match(cluster.get('web-h1')?.metadata, {
    annotations: { 'kubernetes.io/config.mirror': 's1' },
    ownerReferences: [{ apiVersion: 'v1', kind: 'Node', name: 'h1', uid: 'node-uid', controller: true }],
  })
  t.equal(mirrors.localUid('m1'), 's1')
  t.equal(mirrors.localUid('other'), 'other')

  // Somebody deletes it.
  const [mirror] = cluster.values()
  if (mirror === undefined) throw new Error('no mirror')
  const marked = { ...mirror, metadata: { ...mirror.metadata, deletionTimestamp: '2026-01-01T00:00:00Z' } }
  cluster.set('web-h1', marked)
  mirrors.observed(marked, mirror)
  await until(() => statuses.some(([uid]) => uid === 'm2'))
  t.equal(cluster.get('web-h1')?.metadata.uid, 'm2', 'it comes back, with its status')

  pods = [pod('s2')]
  mirrors.podChanged(pod('s2'))
  await until(() => cluster.get('web-h1')?.metadata.uid === 'm3')
  t.equal(mirrors.localUid('m3'), 's2')

  pods = []
  mirrors.podChanged(pod('s2'))
  await until(() => cluster.size === 0)
  t.strictSame(calls, ['made', 'gone', 'made', 'gone', 'made', 'gone'])
})
