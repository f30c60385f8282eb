/** An agent that is killed while it writes comes back with the model of some moment, and goes on from there. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir, stat } from 'node:fs/promises'
import path from 'node:path'
import { setTimeout } from 'node:timers/promises'
import t from 'tap'
import { MetadataReplica } from '../../../agent/metadata/index.ts'
import type { InstanceInfo } from '../../../protocol/index.ts'
import { log, temporaryDirectory } from '../../unit/server/metadata/world.ts'

const WRITER = path.join(import.meta.dirname, 'writer.ts')
const ROUNDS = 6

/** Names of the files that hold something. */
async function written(directory: string): Promise<string[]> {
  const names = (await readdir(directory)).filter(name => /^(snapshot|journal)-\d+$/.test(name))
  const sizes = await Promise.all(
    names.map(name =>
      stat(path.join(directory, name)).then(
        ({ size }) => size,
        () => 0,
      ),
    ),
  )
  return names.filter((_, index) => (sizes[index] ?? 0) > 0)
}

t.test('killed while it writes', async t => {
  const directory = await temporaryDirectory(t)
  let before = 0
  for (let round = 0; round < ROUNDS; round += 1) {
    const known = new Set(await written(directory))
    const writer = spawn(process.execPath, [WRITER, directory], { stdio: ['ignore', 'pipe', 'inherit'] })
    await once(writer.stdout, 'data')
    // From its first file on any moment will do; this one is another each time.
    while (!(await written(directory)).some(name => !known.has(name))) await setTimeout(5)
    await setTimeout(20 + round * 37)
    writer.kill('SIGKILL')
    await once(writer, 'exit')
    const replica = new MetadataReplica({ directory, requestResync: () => true, log })
    await replica.start()
    const sequence = replica.position?.sequence ?? 0
    t.ok(sequence > before, `round ${round}: at ${sequence}`)
    const containers = [...replica.model.all()].filter(({ infoType }) => infoType === 'instance')
    t.same(
      containers.map(container => (container as InstanceInfo).startCount),
      [sequence, sequence, sequence],
      'all of a step, or nothing of it',
    )
    await replica.stop()
    before = sequence
  }
})
