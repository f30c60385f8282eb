/** Requests per second and p99 through a generated configuration, beside a minimal one written by hand, in turn. */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import path from 'node:path'
import { createLogger } from '../../../kit/index.ts'
import { assignSlots, DEFAULT_DEFAULTS, DEFAULT_GLOBAL, Haproxy } from '../../../lb/index.ts'
import { backend, endpoint, frontend, model } from '../../unit/lb/models.ts'
import { freePorts, originSections, plainHaproxy } from './origin.ts'
import { type Load, load } from './wrk.ts'

const ROUNDS = 9
const SECONDS = 1

const median = (values: readonly number[]) =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN

const directory = await mkdtemp('/tmp/drover-bench-')
const [first = 0, second = 0, third = 0, ours = 0, theirs = 0] = await freePorts(5)
const origins = [first, second, third]
const origin = await plainHaproxy(path.join(directory, 'origin.cfg'), originSections(origins))
const byHand = await plainHaproxy(
  path.join(directory, 'hand.cfg'),
  `frontend web\n  bind 127.0.0.1:${theirs}\n  default_backend web\nbackend web\n${origins.map((port, index) => `  server s${index} 127.0.0.1:${port}\n`).join('')}`,
)
const haproxy = new Haproxy({
  name: 'bench',
  directory: path.join(directory, 'lb'),
  log: createLogger('bench', 'silent'),
})
await haproxy.start()
await haproxy.apply(
  model({
    global: DEFAULT_GLOBAL,
    defaults: DEFAULT_DEFAULTS,
    frontends: [
      frontend('web', ours, {
        rules: [
          {
            host: { kind: 'exact', value: 'web.example' },
            path: { kind: 'prefix', value: '/' },
            backend: 'web',
          },
        ],
        defaultBackend: 'web',
        forwarded: 'http',
      }),
    ],
    backends: [
      backend(
        'web',
        assignSlots(
          undefined,
          origins.map(port => endpoint(String(port), port)),
        ),
      ),
    ],
  }),
)
const host = ['Host: web.example']

/** The worker of a master. */
async function workerOf(master: number | undefined): Promise<string> {
  return (await readFile(`/proc/${master}/task/${master}/children`, 'utf8')).trim().split(' ').at(-1) ?? ''
}

/** Microseconds of processor time that a process has used; the kernel counts them in hundredths of a second. */
async function used(pid: string): Promise<number> {
  const fields = (await readFile(`/proc/${pid}/stat`, 'utf8')).split(') ')[1]?.split(' ') ?? []
  return (Number(fields[11]) + Number(fields[12])) * 10_000
}

type Measured = Load & { readonly cost: number }

async function measure(port: number, master: number | undefined): Promise<Measured> {
  const pid = await workerOf(master)
  const before = await used(pid)
  const done = await load(`http://127.0.0.1:${port}/`, SECONDS, host)
  return { ...done, cost: ((await used(pid)) - before) / done.requests }
}

const loads: { own: Measured; hand: Measured }[] = []
for (let round = -1; round < ROUNDS; round += 1) {
  // Who is first changes: what else the machine does should hit both alike.
  const own = round % 2 === 0 ? await measure(ours, haproxy.pid) : undefined
  const hand = await measure(theirs, byHand.pid)
  const both = { own: own ?? (await measure(ours, haproxy.pid)), hand }
  if (round >= 0) loads.push(both)
}
for (const [name, unit, of] of [
  ['requests through a generated configuration', 'requests/s', (each: Measured) => each.perSecond],
  ['p99 through a generated configuration', 'ms', (each: Measured) => each.p99],
  [
    'processor time of a request through a generated configuration',
    'microseconds',
    (each: Measured) => each.cost,
  ],
] as const) {
  const line = {
    ...{ bench: 'haproxy', name, unit, value: median(loads.map(({ own }) => of(own))) },
    ...{ peer: 'written by hand', peerValue: median(loads.map(({ hand }) => of(hand))) },
    ratio: Number(median(loads.map(({ own, hand }) => of(own) / of(hand))).toFixed(3)),
    failed: loads.reduce((sum, { own }) => sum + own.failed, 0),
  }
  process.stdout.write(`${JSON.stringify(line)}\n`)
}
await haproxy.stop()
await byHand.end()
await origin.end()
await rm(directory, { recursive: true })
