/** A model of 30,000 containers on one host: its memory, and what one change costs. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { MetadataReplica, NameDirectory, Requesters, SignalBoard } from '../../../agent/metadata/index.ts'
import { createLogger } from '../../../kit/index.ts'
import { type MetadataObject, serverMessage } from '../../../protocol/index.ts'
import { step } from '../../unit/agent/metadata/objects.ts'
import { type PrintFigure, printLine, rounded } from '../figures.ts'
import { cluster } from './cluster.ts'

const CONTAINERS = 30_000
const CHANGES = 500
const PART = 1_000

function usedMemory(): number {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  for (let turn = 0; turn < 3; turn += 1) collect()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

type Delta = Parameters<MetadataReplica['apply']>[0]

/** As it comes over the link: parsed and checked. */
function received(text: string): Delta {
  const message = serverMessage.parse(JSON.parse(text), 'message')
  if (message.type !== 'metadata') throw new Error('is no metadata')
  return message.delta
}

/** The messages of a full synchronisation. */
function parts(sequence: number): string[] {
  const objects = cluster(CONTAINERS, index => `10.42.${index >> 8}.${index & 255}`)
  const count = Math.ceil(objects.length / PART)
  return Array.from({ length: count }, (_, part) => {
    const updates = objects.slice(part * PART, (part + 1) * PART)
    const delta = { full: true, generation: 'g', sequence, part, more: part < count - 1, updates }
    return JSON.stringify({ type: 'metadata', delta })
  })
}

export async function bench(print: PrintFigure): Promise<void> {
  const directory = await mkdtemp(path.join(tmpdir(), 'metadata-bench-'))
  const log = createLogger('bench', 'error')
  const replica = new MetadataReplica({ directory, requestResync: () => false, log })
  const signals = new SignalBoard(replica.model)
  const addresses = { isHostAddress: () => false, isContainerAddress: () => false }
  const requesters = new Requesters({ model: replica.model, signals, addresses })
  const names = new NameDirectory(replica.model, requesters)
  const line = (name: string, value: number, unit: string, budget?: string) =>
    print({
      bench: 'metadata',
      name,
      value: rounded(value),
      unit,
      ...(budget === undefined ? {} : { budget }),
    })
  const first = parts(1)
  const second = parts(2)
  const before = usedMemory()
  await replica.start()
  for (const text of first) replica.apply(received(text))
  const steady = usedMemory() - before
  line('replica of 30000 containers', steady / 2 ** 20, 'MiB')
  let peak = 0
  for (const text of second) {
    replica.apply(received(text))
    peak = Math.max(peak, usedMemory() - before)
  }
  line('peak of a full synchronisation beside it', peak / steady, 'times', '<= 1.3')
  const targets = [...replica.model.all()].filter(({ infoType }) => infoType === 'instance')
  const cpu = process.cpuUsage()
  for (let change = 0; change < CHANGES; change += 1) {
    const object = { ...targets[change * 7], startCount: change + 100 } as MetadataObject
    replica.apply(
      received(JSON.stringify({ type: 'metadata', delta: step(change + 2, change + 3, [object]) })),
    )
  }
  await replica.stop()
  const { user, system } = process.cpuUsage(cpu)
  line('processor time of one change, with its journal', (user + system) / CHANGES / 1000, 'ms', '<= 5')
  const start = performance.now()
  const again = new MetadataReplica({ directory, requestResync: () => false, log })
  await again.start()
  line('restart from disk', performance.now() - start, 'ms')
  await again.stop()
  if (again.model.size !== replica.model.size || names.version === 0) throw new Error('something is missing')
  await rm(directory, { recursive: true, force: true })
}

if (process.argv[1] === import.meta.filename) await bench(printLine)
