/**
 * 1,000 endpoint changes, 20 reloads and 5 renewed certificates during a minute of load: failed requests, and p99 beside quiet times in
 * between, so that what else the machine does hits both alike. The load takes all of the processor there is, so every change is felt.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import path from 'node:path'
import { createLogger, sleep } from '../../../kit/index.ts'
import { createCertificateAuthority, issueCertificate } from '../../../kit/x509/index.ts'
import {
  assignSlots,
  DEFAULT_DEFAULTS,
  DEFAULT_GLOBAL,
  Haproxy,
  type HaproxyModel,
} from '../../../lb/index.ts'
import { backend, endpoint, frontend, model } from '../../unit/lb/models.ts'
import { freePorts, originSections, plainHaproxy } from './origin.ts'
import { type Load, load } from './wrk.ts'

const CHANGES = 1000
const RELOAD_EVERY = 50
const RENEWAL_EVERY = 200
/** Seconds of a turn, quiet and busy, and how many of each. */
const SECONDS = 12
const TURNS = 5
/** Milliseconds between two changes; the last one is before the end of the load. */
const INTERVAL = (SECONDS * 1000 * 0.97) / (CHANGES / TURNS)

const median = (values: readonly number[]) =>
  values.toSorted((a, b) => a - b)[values.length >> 1] ?? Number.NaN

const directory = await mkdtemp('/tmp/drover-bench-')
const [port = 0, tlsPort = 0, ...origins] = await freePorts(6)
const origin = await plainHaproxy(path.join(directory, 'origin.cfg'), originSections(origins))
const authority = await createCertificateAuthority('bench', 2)
const pems = await Promise.all(
  ['one', 'two'].map(async commonName => {
    const pair = await issueCertificate(authority, {
      commonName,
      dnsNames: [commonName],
      usage: 'server',
      validDays: 2,
    })
    return `${pair.certificate}\n${pair.privateKey}`
  }),
)
const haproxy = new Haproxy({
  name: 'bench',
  directory: path.join(directory, 'lb'),
  log: createLogger('bench', 'silent'),
})
await haproxy.start()

/** The model after so many changes: one of four endpoints is always another one. */
function after(change: number, slots: HaproxyModel['backends'][number]['slots'] | undefined): HaproxyModel {
  const kept = origins.filter((_, index) => index !== change % origins.length)
  return model({
    global: DEFAULT_GLOBAL,
    defaults: [...DEFAULT_DEFAULTS, `timeout http-keep-alive ${60 + Math.floor(change / RELOAD_EVERY)}s`],
    frontends: [
      frontend('web', port, { defaultBackend: 'web' }),
      frontend('tls', tlsPort, {
        binds: [{ address: '127.0.0.1', port: tlsPort, tls: { certificates: ['c'], strictSni: false } }],
        defaultBackend: 'web',
      }),
    ],
    backends: [
      backend(
        'web',
        assignSlots(
          slots,
          kept.map(each => endpoint(String(each), each)),
        ),
      ),
    ],
    certificates: [{ name: 'c', pem: pems[Math.floor(change / RENEWAL_EVERY) % 2] ?? '' }],
  })
}

let present = after(0, undefined)
await haproxy.apply(present)
const ways: Record<string, number> = { commands: 0, reload: 0, nothing: 0, start: 0 }
const times: number[] = []

/** The changes of one turn, evenly. */
async function changes(turn: number): Promise<void> {
  const first = (turn * CHANGES) / TURNS
  const begun = performance.now()
  for (let change = first + 1; change <= first + CHANGES / TURNS; change += 1) {
    const next = after(change, present.backends[0]?.slots)
    const begin = performance.now()
    const { how } = await haproxy.apply(next)
    if (how === 'commands') times.push(performance.now() - begin)
    ways[how] = (ways[how] ?? 0) + 1
    present = next
    await sleep(Math.max(0, begun + (change - first) * INTERVAL - performance.now()))
  }
}

for (const [name, url] of [
  ['http', `http://127.0.0.1:${port}/`],
  ['https', `https://127.0.0.1:${tlsPort}/`],
] as const) {
  await load(url, 1)
  const loads: { quiet: Load; busy: Load }[] = []
  for (let turn = 0; turn < TURNS; turn += 1) {
    const quiet = await load(url, SECONDS)
    const [busy] = await Promise.all([load(url, SECONDS), changes(turn)])
    loads.push({ quiet, busy })
  }
  const line = {
    ...{
      bench: 'haproxy',
      name: `p99 over ${name} while endpoints, structure and certificates change`,
      unit: 'ms',
    },
    ...{ value: median(loads.map(({ busy }) => busy.p99)), peer: 'quiet' },
    peerValue: median(loads.map(({ quiet }) => quiet.p99)),
    ratio: Number(median(loads.map(({ quiet, busy }) => busy.p99 / quiet.p99)).toFixed(2)),
    ...{
      requests: loads.reduce((sum, { busy }) => sum + busy.requests, 0),
      failed: loads.reduce((sum, { busy }) => sum + busy.failed, 0),
      ways: { ...ways },
      medianChange: Number(median(times).toFixed(1)),
    },
  }
  process.stdout.write(`${JSON.stringify(line)}\n`)
  for (const way of Object.keys(ways)) ways[way] = 0
  times.length = 0
  present = after(0, present.backends[0]?.slots)
  await haproxy.apply(present)
}
await haproxy.stop()
await origin.end()
await rm(directory, { recursive: true })
