/** From the acknowledgement of a write to its event at the last of 1, and of 1,000 watchers. */
import { request } from 'node:https'
import path from 'node:path'
import { type PrintFigure, percentile, printLine, rounded } from '../figures.ts'
import { inTemporaryDirectory } from '../store/bench-store.ts'
import { ApiUnderMeasurement, configMap, NAMESPACE } from './api.ts'

const WRITES = 200
/** Milliseconds between two writes. */
const PAUSE = 20

class Watchers {
  /** When each watcher saw an object, in milliseconds, by name. */
  readonly seen = new Map<string, number[]>()
  readonly #abort = new AbortController()

  async open(api: ApiUnderMeasurement, count: number): Promise<void> {
    await Promise.all(Array.from({ length: count }, () => this.#watch(api)))
  }

  close(): void {
    this.#abort.abort()
  }

  async #watch(api: ApiUnderMeasurement): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const outgoing = request(
      `${api.origin}/k8s/clusters/c1${NAMESPACE}/configmaps?watch=true&fieldSelector=metadata.name!=kube-root-ca.crt`,
      {
        ca: api.authority,
        headers: { authorization: 'Bearer bench' },
        signal: this.#abort.signal,
        agent: false,
      },
      answer => {
        answer.setEncoding('utf8')
        let rest = ''
        answer.on('data', (text: string) => {
          const now = performance.now()
          const lines = (rest + text).split('\n')
          rest = lines.pop() ?? ''
          for (const line of lines) {
            const name = /"name":"(w-[^"]+)"/.exec(line)?.[1]
            if (name !== undefined) this.seen.get(name)?.push(now)
          }
        })
        answer.on('error', () => undefined)
        resolve()
      },
    )
    outgoing.on('error', reject)
    outgoing.end()
    await promise
  }
}

async function measure(api: ApiUnderMeasurement, count: number, print: PrintFigure): Promise<void> {
  const watchers = new Watchers()
  await watchers.open(api, count)
  const acknowledged = new Map<string, number>()
  for (let index = 0; index < WRITES; index += 1) {
    const name = `w-${count}-${index}`
    watchers.seen.set(name, [])
    await api.ask({ method: 'POST', path: `${NAMESPACE}/configmaps`, body: configMap(name) })
    acknowledged.set(name, performance.now())
    await new Promise(resolve => setTimeout(resolve, PAUSE))
  }
  const last = `w-${count}-${WRITES - 1}`
  while ((watchers.seen.get(last)?.length ?? 0) < count) await new Promise(resolve => setTimeout(resolve, 5))
  watchers.close()
  // An event may be there before the writer's own answer: that is a delay of nothing.
  const delays = [...watchers.seen].flatMap(([name, times]) =>
    times.map(time => Math.max(0, time - (acknowledged.get(name) ?? 0))),
  )
  for (const [label, fraction] of [
    ['median', 0.5],
    ['p99', 0.99],
  ] as const) {
    print({
      bench: 'master',
      name: `write acknowledged → event at ${count} watchers, ${label}`,
      value: rounded(percentile(delays, fraction)),
      unit: 'ms',
      ...(label === 'p99' && count > 1 ? { budget: '<= 50' } : {}),
    })
  }
}

export async function run(print: PrintFigure): Promise<void> {
  await inTemporaryDirectory(async directory => {
    const api = await ApiUnderMeasurement.start(path.join(directory, 'drover.db'))
    try {
      await api.order({ do: 'create', cluster: 'c1' })
      for (const count of [1, 1_000]) await measure(api, count, print)
    } finally {
      await api.stop()
    }
  })
}

if (import.meta.main) await run(printLine)
