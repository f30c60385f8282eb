/**
 * A change on one of 1,000 hosts with 30,000 containers, until the other 999 know: a server process of its own, its agents
 * simulated by real connections from this one. Then all agents come back at once, then the server, then everything is sent
 * anew.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { access, mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout } from 'node:timers/promises'
import type { RegistrationAnswer } from '../../../protocol/index.ts'
import { type PrintFigure, printLine, rounded } from '../figures.ts'
import { SimulatedAgent } from './simulated-agents.ts'

const AGENTS = Number(process.env.FANOUT_AGENTS ?? 1_000)
const CONTAINERS = 30
const CHANGES = 1_500
/** Milliseconds between two changes. */
const PAUSE = 10
const RENEWAL = 60

interface Server {
  readonly child: ChildProcess
  readonly url: string
  readonly tlsUrl: string
  readonly authority: string
  readonly authorization: string
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await new Promise(resolve => server.once('listening', resolve))
  const address = server.address()
  await new Promise(resolve => server.close(resolve))
  return typeof address === 'object' && address !== null ? address.port : 0
}

async function startServer(
  directory: string,
  ports: readonly [number, number],
  renewal: string,
): Promise<Server> {
  const [port, tlsPort] = ports
  const child = spawn(
    process.execPath,
    [
      '--disable-warning=ExperimentalWarning',
      path.join(import.meta.dirname, '../../../server/main.ts'),
      ...['--data', directory, '--port', String(port), '--tls-port', String(tlsPort)],
      ...['--advertise', `https://127.0.0.1:${tlsPort}`, '--metadata-renewal', renewal],
    ],
    { stdio: 'ignore' },
  )
  for (;;) {
    const answer = await fetch(`http://127.0.0.1:${port}/v3/connection`).catch(() => undefined)
    const written = await access(path.join(directory, 'admin.json')).then(
      () => true,
      () => false,
    )
    if (answer?.ok && written) break
    await setTimeout(20)
  }
  const admin = JSON.parse(await readFile(path.join(directory, 'admin.json'), 'utf8'))
  return {
    child,
    url: admin.url,
    tlsUrl: admin.tlsUrl,
    authority: await readFile(admin.caFile, 'utf8'),
    authorization: `Basic ${Buffer.from(`${admin.accessKey}:${admin.secretKey}`).toString('base64')}`,
  }
}

async function stop({ child }: Server, signal: NodeJS.Signals): Promise<void> {
  const ended = new Promise(resolve => child.once('exit', resolve))
  child.kill(signal)
  await ended
}

async function post(server: Server, target: string, body: unknown, authorization: string): Promise<unknown> {
  const answer = await fetch(`${server.url}${target}`, {
    method: 'POST',
    headers: { authorization, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  if (!answer.ok) throw new Error(`${target}: ${answer.status} ${await answer.text()}`)
  return await answer.json()
}

async function get(server: Server, target: string): Promise<{ data: { id: string }[] }> {
  const { authorization } = server
  return (await (await fetch(`${server.url}${target}`, { headers: { authorization } })).json()) as never
}

/** Does `work` for every item, `width` at a time. */
async function forAll<T>(
  items: readonly T[],
  width: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  const rest = [...items]
  await Promise.all(
    Array.from({ length: width }, async () => {
      for (let item = rest.shift(); item !== undefined; item = rest.shift()) await work(item)
    }),
  )
}

async function register(server: Server): Promise<SimulatedAgent[]> {
  const [cluster] = (await get(server, '/v3/clusters')).data
  const token = (await post(
    server,
    '/v3/registrationtokens',
    { clusterId: cluster?.id },
    server.authorization,
  )) as { token: string }
  const authorization = `Basic ${Buffer.from(`registrationToken:${token.token}`).toString('base64')}`
  const agents: SimulatedAgent[] = []
  await forAll([...Array(AGENTS).keys()], 32, async number => {
    const key = number.toString(16).padStart(64, '0')
    const member = await post(server, '/v3/register', { key, hostname: `node-${number}` }, authorization)
    agents.push(new SimulatedAgent(number, member as RegistrationAnswer))
  })
  return agents
}

/** Seconds of processor time, and bytes of memory. */
async function usage(pid: number | undefined): Promise<{ seconds: number; memory: number }> {
  const fields = (await readFile(`/proc/${pid}/stat`, 'utf8')).split(') ')[1]?.split(' ') ?? []
  const pages = Number((await readFile(`/proc/${pid}/statm`, 'utf8')).split(' ')[1])
  return { seconds: (Number(fields[11]) + Number(fields[12])) / 100, memory: pages * 4096 }
}

function percentile(samples: readonly number[], fraction: number): number {
  const sorted = Float64Array.from(samples).sort()
  return sorted[Math.floor(sorted.length * fraction)] ?? Number.NaN
}

async function until(what: string, condition: () => boolean, seconds: number): Promise<void> {
  const end = performance.now() + seconds * 1000
  while (!condition()) {
    if (performance.now() > end) throw new Error(`${what}: did not happen within ${seconds} s`)
    await setTimeout(20)
  }
}

/** When all agents stand where the most advanced one does. */
async function quiet(agents: readonly SimulatedAgent[]): Promise<void> {
  let before = -1
  for (;;) {
    const sequences = agents.map(({ position }) => position?.sequence ?? 0)
    const most = Math.max(...sequences)
    if (sequences.every(sequence => most - sequence < 300) && most === before && most > 0) return
    before = most
    await setTimeout(500)
  }
}

/** Changes at the wanted pace. @returns milliseconds from each change to each agent */
async function change(agents: readonly SimulatedAgent[]): Promise<number[]> {
  const [reader] = agents
  if (reader === undefined) return []
  const sequences = new Map<number, number>()
  reader.onDelta = ({ updates, sequence }) => {
    for (const object of updates) {
      if (object.infoType === 'instance' && object.startCount > 1_000 && !sequences.has(object.startCount))
        sequences.set(object.startCount, sequence)
    }
  }
  for (const agent of agents) agent.steps.length = 0
  const begun = new Map<number, number>()
  const start = performance.now()
  for (let number = 0; number < CHANGES; number += 1) {
    const wait = start + number * PAUSE - performance.now()
    if (wait > 1) await setTimeout(wait)
    const marker = 1_001 + number
    begun.set(marker, performance.now())
    agents[(number * 7) % agents.length]?.reportChange(Math.floor(number / agents.length), marker)
  }
  await until('every change', () => sequences.size === CHANGES, 60)
  const last = Math.max(...sequences.values())
  await until('all agents', () => agents.every(({ position }) => (position?.sequence ?? 0) >= last), 60)
  reader.onDelta = undefined
  const delays: number[] = []
  for (const agent of agents) {
    let at = 0
    for (const [marker, sequence] of [...sequences].toSorted((a, b) => a[1] - b[1])) {
      while ((agent.steps[at]?.[0] ?? Number.POSITIVE_INFINITY) < sequence) at += 1
      const step = agent.steps[at]
      if (step !== undefined) delays.push(step[1] - (begun.get(marker) ?? 0))
    }
  }
  return delays
}

const fulls = (agents: readonly SimulatedAgent[]) =>
  agents.reduce((sum, agent) => sum + agent.fulls.length, 0)

export async function bench(print: PrintFigure): Promise<void> {
  const directory = await mkdtemp(path.join(tmpdir(), 'drover-fanout-'))
  const ports = [await freePort(), await freePort()] as const
  const line = (name: string, value: number, unit: string, budget?: string) =>
    print({
      bench: 'metadata',
      name: `fanout: ${name}`,
      value: rounded(value),
      unit,
      ...(budget === undefined ? {} : { budget }),
    })
  let server = await startServer(directory, ports, '24h')
  try {
    const agents = await register(server)
    const connectAll = () => forAll(agents, 64, agent => agent.connect(server.tlsUrl, server.authority))
    await connectAll()
    await forAll(agents, 8, async agent => {
      agent.reportAll(CONTAINERS)
      await setTimeout(20)
    })
    await quiet(agents)

    for (const agent of agents) agent.bytes = 0
    const before = await usage(server.child.pid)
    const begin = performance.now()
    const delays = await change(agents)
    const elapsed = (performance.now() - begin) / 1000
    const after = await usage(server.child.pid)
    line('change to 1000 agents, p99', percentile(delays, 0.99), 'ms', '<= 1000')
    line('change to 1000 agents, median', percentile(delays, 0.5), 'ms')
    line('changes', CHANGES / elapsed, '1/s')
    const bytes = agents.reduce((sum, agent) => sum + agent.bytes, 0)
    line('bytes per change and agent', bytes / agents.length / CHANGES, 'bytes')
    line('processor time of the server', (after.seconds - before.seconds) / elapsed, 'cores')
    line('memory of the server', after.memory / 2 ** 20, 'MiB')

    const known = fulls(agents)
    for (const agent of agents) agent.disconnect()
    let returned = performance.now()
    await connectAll()
    await quiet(agents)
    line('agents restarted, full synchronisations', fulls(agents) - known, '', '0')
    for (const agent of agents) agent.disconnect()
    await stop(server, 'SIGKILL')
    server = await startServer(directory, ports, '24h')
    returned = performance.now()
    await connectAll()
    line('server restarted, all agents back', (performance.now() - returned) / 1000, 's', '<= 30')
    await quiet(agents)
    line('server restarted, full synchronisations', fulls(agents) - known, '', '0')

    for (const agent of agents) agent.disconnect()
    await stop(server, 'SIGTERM')
    server = await startServer(directory, ports, `${RENEWAL}s`)
    await connectAll()
    await until('the first renewal', () => agents.every(agent => agent.fulls.length > 0), 120)
    await quiet(agents)
    for (const agent of agents) agent.fulls.length = 0
    await until('the renewal', () => agents.every(agent => agent.fulls.length > 0), RENEWAL * 3)
    await quiet(agents)
    const times = agents.flatMap(agent => agent.fulls)
    line(
      'renewal, most full synchronisations of an agent',
      Math.max(...agents.map(a => a.fulls.length)),
      '',
      '1',
    )
    line('renewal, spread', (Math.max(...times) - Math.min(...times)) / 1000, 's', `about ${RENEWAL / 10}`)
    for (const agent of agents) agent.disconnect()
  } finally {
    await stop(server, 'SIGTERM')
    await rm(directory, { recursive: true, force: true })
  }
}

if (process.argv[1] === import.meta.filename) {
  await bench(printLine)
  process.exit(0)
}
