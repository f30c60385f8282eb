/** From the acknowledgement of a write to its delivery to 1,000 watches of its kind, among 10,000 watches in all. */
import { setTimeout } from 'node:timers/promises'
import { parseSpaceId, type Space, type Watch } from '../../../server/store/index.ts'
import { type PrintFigure, percentile, printLine, rounded } from '../figures.ts'
import { objectOf, withStore } from './bench-store.ts'

const WATCHERS = 1_000
const OTHERS = 9_000
const WRITES = 400
/** Milliseconds between two writes. */
const PAUSE = 5

/** Notes when each revision arrives. */
async function note(watch: Watch, arrivals: number[][]): Promise<void> {
  for await (const events of watch) {
    const now = performance.now()
    for (const { revision } of events) arrivals[revision]?.push(now)
  }
}

function idleWatches(space: Space): Watch[] {
  return Array.from({ length: OTHERS }, (_, index) =>
    index % 2 === 0
      ? space.watch({ kind: `kind${index % 100}`, after: 0 })
      : space.watch({ kind: 'configmaps', namespace: `other${index}`, after: 0 }),
  )
}

async function delays(space: Space): Promise<{ fromAcknowledgement: number[]; fromCall: number[] }> {
  const arrivals: number[][] = Array.from({ length: WRITES + 1 }, () => [])
  const watches = Array.from({ length: WATCHERS }, () => space.watch({ kind: 'configmaps', after: 0 }))
  const reading = [...watches, ...idleWatches(space)].map(watch => note(watch, arrivals))
  const fromAcknowledgement: number[] = []
  const fromCall: number[] = []
  const times: { called: number; acknowledged: number }[] = []
  for (let write = 0; write < WRITES; write += 1) {
    const name = `o${write}`
    const called = performance.now()
    await space.create({ kind: 'configmaps', namespace: 'default', name }, revision =>
      objectOf(name, revision),
    )
    times.push({ called, acknowledged: performance.now() })
    await setTimeout(PAUSE)
  }
  for (const [index, { called, acknowledged }] of times.entries()) {
    for (const arrival of arrivals[index + 1] ?? []) {
      fromAcknowledgement.push(Math.max(0, arrival - acknowledged))
      fromCall.push(arrival - called)
    }
  }
  if (fromCall.length !== WRITES * WATCHERS) throw new Error(`only ${fromCall.length} deliveries`)
  for (const watch of watches) watch.close()
  void reading
  return { fromAcknowledgement, fromCall }
}

export async function bench(print: PrintFigure): Promise<void> {
  const { fromAcknowledgement, fromCall } = await withStore({}, async store =>
    delays(await store.createSpace(parseSpaceId('c1'))),
  )
  const line = (name: string, value: number, budget?: string) =>
    print({
      bench: 'store',
      name,
      value: rounded(value),
      unit: 'ms',
      ...(budget === undefined ? {} : { budget }),
    })
  line('acknowledged to delivered, 1000 watchers, p50', percentile(fromAcknowledgement, 0.5))
  line('acknowledged to delivered, 1000 watchers, p99', percentile(fromAcknowledgement, 0.99), '<= 50')
  line('called to delivered, 1000 watchers, p50', percentile(fromCall, 0.5))
  line('called to delivered, 1000 watchers, p99', percentile(fromCall, 0.99))
}

if (process.argv[1] === import.meta.filename) await bench(printLine)
