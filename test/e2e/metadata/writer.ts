/**
 * Takes in steps as fast as it can until it is killed: `node writer.ts DIRECTORY`. Every step gives each of three
 * containers its own sequence as the number of starts.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'
import { MetadataReplica } from '../../../agent/metadata/index.ts'
import { createLogger } from '../../../kit/index.ts'
import { container, environment, step } from '../../unit/agent/metadata/objects.ts'

const production = environment('production')
const names = ['a', 'b', 'c']
const replica = new MetadataReplica({
  directory: process.argv[2] ?? '',
  requestResync: () => true,
  log: createLogger('writer', 'error'),
})
await replica.start()
// Large enough that snapshots are written again and again.
const labels = { text: 'x'.repeat(5_000) }
const objects = (startCount: number) =>
  names.map((name, index) => container(name, production, { infoTypeId: `1i${index}`, startCount, labels }))
let sequence = replica.position?.sequence
if (sequence === undefined) {
  sequence = 1
  const updates = [production, ...objects(1)]
  replica.apply({ full: true, generation: 'g', sequence, part: 0, more: false, updates })
}
process.stdout.write('ready\n')
for (;;) {
  replica.apply(step(sequence, sequence + 1, objects(sequence + 1)))
  sequence += 1
  if (sequence % 10 === 0) await nextTurn()
}
