/** Requests per second and p99 through a generated configuration, beside a minimal one written by hand, in turn; HTTP and HTTPS. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { createLogger } from '../../../kit/index.ts'
import { createCertificateAuthority, issueCertificate } from '../../../kit/x509/index.ts'
import { assignSlots, DEFAULT_DEFAULTS, DEFAULT_GLOBAL, Haproxy } from '../../../lb/index.ts'
import { backend, endpoint, frontend, model } from '../../unit/lb/models.ts'
import { freePorts, originSections, plainHaproxy } from './origin.ts'
import { type Load, load } from './wrk.ts'

/** Many short turns: what else the machine does hits both alike. */
const ROUNDS = 12
const SECONDS = 1

const median = (values: readonly number[]) =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN

const directory = await mkdtemp('/tmp/drover-bench-')
const [first = 0, second = 0, third = 0, ours = 0, theirs = 0, oursTls = 0, theirsTls = 0] =
  await freePorts(7)
const origins = [first, second, third]
const origin = await plainHaproxy(path.join(directory, 'origin.cfg'), originSections(origins))
const authority = await createCertificateAuthority('bench', 2)
const pair = await issueCertificate(authority, {
  commonName: 'web.example',
  dnsNames: ['web.example'],
  usage: 'server',
  validDays: 2,
})
const pem = `${pair.certificate}\n${pair.privateKey}`
const pemFile = path.join(directory, 'site.pem')
await writeFile(pemFile, pem)
const byHand = await plainHaproxy(
  path.join(directory, 'hand.cfg'),
  `frontend web\n  bind 127.0.0.1:${theirs}\n  bind 127.0.0.1:${theirsTls} ssl crt ${pemFile}\n  default_backend web\nbackend web\n${origins.map((port, index) => `  server s${index} 127.0.0.1:${port}\n`).join('')}`,
)
const haproxy = new Haproxy({
  name: 'bench',
  directory: path.join(directory, 'lb'),
  log: createLogger('bench', 'silent'),
})
await haproxy.start()
const rules = [
  {
    host: { kind: 'exact', value: 'web.example' },
    path: { kind: 'prefix', value: '/' },
    backend: 'web',
  } as const,
]
await haproxy.apply(
  model({
    certificates: [{ name: 'site', pem }],
    global: DEFAULT_GLOBAL,
    defaults: DEFAULT_DEFAULTS,
    frontends: [
      frontend('web', ours, { rules, defaultBackend: 'web', forwarded: 'http' }),
      frontend('tls', oursTls, {
        binds: [
          {
            address: '127.0.0.1',
            port: oursTls,
            tls: { certificates: ['site'], strictSni: false, alpn: ['h2', 'http/1.1'] },
          },
        ],
        ...{ rules, defaultBackend: 'web', forwarded: 'https' as const },
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

async function measure(url: string, master: number | undefined): Promise<Measured> {
  const pid = await workerOf(master)
  const before = await used(pid)
  const done = await load(url, SECONDS, host)
  return { ...done, cost: ((await used(pid)) - before) / done.requests }
}

/** Measures both in turn; which one begins changes from round to round. */
async function compare(scheme: 'http' | 'https', own: number, hand: number): Promise<void> {
  const url = (port: number) => `${scheme}://127.0.0.1:${port}/`
  const loads: { own: Measured; hand: Measured }[] = []
  for (let round = -1; round < ROUNDS; round += 1) {
    const early = round % 2 === 0 ? await measure(url(own), haproxy.pid) : undefined
    const theirLoad = await measure(url(hand), byHand.pid)
    const both = { own: early ?? (await measure(url(own), haproxy.pid)), hand: theirLoad }
    if (round >= 0) loads.push(both)
  }
  for (const [name, unit, of] of [
    ['requests', 'requests/s', (each: Measured) => each.perSecond],
    ['p99', 'ms', (each: Measured) => each.p99],
    ['processor time of a request', 'microseconds', (each: Measured) => each.cost],
  ] as const) {
    const line = {
      ...{ bench: 'haproxy', name: `${name} through a generated configuration, ${scheme}`, unit },
      ...{ value: median(loads.map(each => of(each.own))), peer: 'written by hand' },
      peerValue: median(loads.map(each => of(each.hand))),
      ratio: Number(median(loads.map(each => of(each.own) / of(each.hand))).toFixed(3)),
      failed: loads.reduce((sum, each) => sum + each.own.failed, 0),
    }
    process.stdout.write(`${JSON.stringify(line)}\n`)
  }
}

await compare('http', ours, theirs)
await compare('https', oursTls, theirsTls)
await haproxy.stop()
await byHand.end()
await origin.end()
await rm(directory, { recursive: true })
