/**
 * Requests per second and p99 through a generated configuration, beside a minimal one written by hand, in turn; HTTP and
 * HTTPS.
 *
 * Two processes with one and the same configuration differ by up to a tenth: which thread got which connection, where memory
 * lies. So all of them are started several times, and the configuration written by hand runs twice: what these two differ by
 * is what cannot be told apart.
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { createLogger } from '../../../kit/index.ts'
import { createCertificateAuthority, issueCertificate } from '../../../kit/x509/index.ts'
import { assignSlots, DEFAULT_DEFAULTS, DEFAULT_GLOBAL, Haproxy } from '../../../lb/index.ts'
import { backend, endpoint, frontend, model } from '../../unit/lb/models.ts'
import { median } from '../figures.ts'
import { freePorts, originSections, plainHaproxy } from './origin.ts'
import { type Load, load } from './wrk.ts'

/** Times that everything is started anew. */
const STARTS = 8
/** Many short turns: what else the machine does hits all alike. */
const ROUNDS = 4
const SECONDS = 1
const HOST = ['Host: web.example']

type Scheme = 'http' | 'https'
type Measured = Load & { readonly cost: number }

/** What is measured in one turn: the generated configuration, and twice the same one written by hand. */
const CONTENDERS = ['own', 'hand', 'again'] as const

type Contender = (typeof CONTENDERS)[number]
type Turn = Readonly<Record<Contender, Measured>>

interface Running {
  readonly ports: Readonly<Record<Scheme, number>>
  /** Of the master; its worker does the work. */
  readonly pid: number | undefined
  end(): Promise<void>
}

const directory = await mkdtemp('/tmp/drover-bench-')
const origins = await freePorts(3)
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

async function startByHand(name: string): Promise<Running> {
  const [http = 0, https = 0] = await freePorts(2)
  const servers = origins.map((port, index) => `  server s${index} 127.0.0.1:${port}\n`).join('')
  const { pid, end } = await plainHaproxy(
    path.join(directory, `${name}.cfg`),
    `frontend web\n  bind 127.0.0.1:${http}\n  bind 127.0.0.1:${https} ssl crt ${pemFile}\n  default_backend web\nbackend web\n${servers}`,
  )
  return { ports: { http, https }, pid, end }
}

async function startGenerated(): Promise<Running> {
  const [http = 0, https = 0] = await freePorts(2)
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
  const bind = {
    address: '127.0.0.1',
    port: https,
    tls: { certificates: ['site'], strictSni: false, alpn: ['h2', 'http/1.1'] },
  }
  const slots = assignSlots(
    undefined,
    origins.map(port => endpoint(String(port), port)),
  )
  await haproxy.apply(
    model({
      certificates: [{ name: 'site', pem }],
      global: DEFAULT_GLOBAL,
      defaults: DEFAULT_DEFAULTS,
      frontends: [
        frontend('web', http, { rules, defaultBackend: 'web', forwarded: 'http' }),
        frontend('tls', https, { binds: [bind], rules, defaultBackend: 'web', forwarded: 'https' }),
      ],
      backends: [backend('web', slots)],
    }),
  )
  return { ports: { http, https }, pid: haproxy.pid, end: () => haproxy.stop() }
}

/** The worker of a master. */
async function workerOf(master: number | undefined): Promise<string> {
  return (await readFile(`/proc/${master}/task/${master}/children`, 'utf8')).trim().split(' ').at(-1) ?? ''
}

/** Microseconds of processor time that a process has used; the kernel counts them in hundredths of a second. */
async function used(pid: string): Promise<number> {
  const fields = (await readFile(`/proc/${pid}/stat`, 'utf8')).split(') ')[1]?.split(' ') ?? []
  return (Number(fields[11]) + Number(fields[12])) * 10_000
}

async function measure(scheme: Scheme, { ports, pid: master }: Running): Promise<Measured> {
  const pid = await workerOf(master)
  const before = await used(pid)
  const done = await load(`${scheme}://127.0.0.1:${ports[scheme]}/`, SECONDS, HOST)
  return { ...done, cost: ((await used(pid)) - before) / done.requests }
}

/** One turn of each; which one begins changes from turn to turn. */
async function turn(
  scheme: Scheme,
  running: Readonly<Record<Contender, Running>>,
  first: number,
): Promise<Turn> {
  const measured: Partial<Record<Contender, Measured>> = {}
  for (let index = 0; index < CONTENDERS.length; index += 1) {
    const name = CONTENDERS[(first + index) % CONTENDERS.length] ?? 'own'
    measured[name] = await measure(scheme, running[name])
  }
  return measured as Turn
}

const turns: Readonly<Record<Scheme, Turn[]>> = { http: [], https: [] }
for (let start = 0; start < STARTS; start += 1) {
  const running = {
    hand: await startByHand('hand'),
    own: await startGenerated(),
    again: await startByHand('again'),
  }
  for (const scheme of ['http', 'https'] as const) {
    // The first connections find everything cold.
    await turn(scheme, running, start)
    for (let round = 0; round < ROUNDS; round += 1)
      turns[scheme].push(await turn(scheme, running, start + round))
  }
  for (const { end } of Object.values(running)) await end()
}
for (const [scheme, all] of Object.entries(turns)) {
  for (const [name, unit, of] of [
    ['requests', 'requests/s', (each: Measured) => each.perSecond],
    ['p99', 'ms', (each: Measured) => each.p99],
    ['processor time of a request', 'microseconds', (each: Measured) => each.cost],
  ] as const) {
    const byHand = ({ hand, again }: Turn) => Math.sqrt(of(hand) * of(again))
    const ratio = (each: (turn: Turn) => number) => Number(median(all.map(each)).toFixed(3))
    const line = {
      ...{ bench: 'haproxy', name: `${name} through a generated configuration, ${scheme}`, unit },
      ...{ value: median(all.map(({ own }) => of(own))), peer: 'written by hand' },
      peerValue: median(all.map(byHand)),
      ratio: ratio(each => of(each.own) / byHand(each)),
      /** What one and the same configuration differs from itself by. */
      sameAgain: ratio(
        each => Math.max(of(each.hand), of(each.again)) / Math.min(of(each.hand), of(each.again)),
      ),
      failed: all.reduce((sum, { own }) => sum + own.failed, 0),
    }
    process.stdout.write(`${JSON.stringify(line)}\n`)
  }
}
await origin.end()
await rm(directory, { recursive: true })
