/**
 * How long a container waits for its network: a whole CNI ADD, from executing the plugins to their result, beside
 * Debian's bridge, host-local and portmap in the same run.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, rmSync } from 'node:fs'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { makeHostDirectories } from '../../e2e/network/host.ts'
import { addNamespace, deleteNamespace, namespacePath } from '../../e2e/network/lab.ts'
import { inPrivateNetwork } from '../../lab/private-network.ts'

const CONTAINERS = 40

/** Debian's package containernetworking-plugins. */
const DEBIAN_PLUGINS = '/usr/lib/cni'

/** One measured figure, printed as one line of JSON. */
export interface Figure {
  readonly bench: 'cni'
  readonly name: string
  /** Median, in milliseconds. */
  readonly value: number
  readonly unit: 'ms'
  readonly p95: number
  /** The same work done by someone else in the same run. */
  readonly peer?: { readonly name: string; readonly value: number; readonly ratio: number }
  readonly budget?: string
}

type Configuration = Readonly<Record<string, unknown>>

interface Contestant {
  readonly binaryDirectory: string
  readonly plugins: (container: number) => readonly Configuration[]
}

/** Executes one plugin as a container runtime does. @returns what it printed */
function execute(
  contestant: Contestant,
  command: string,
  name: string,
  configuration: Configuration,
): unknown {
  const file = path.join(contestant.binaryDirectory, String(configuration.type))
  const { status, stdout } = spawnSync(file, {
    input: JSON.stringify({ cniVersion: '1.0.0', name: 'bench', ...configuration }),
    encoding: 'utf8',
    env: {
      CNI_COMMAND: command,
      CNI_CONTAINERID: name,
      CNI_NETNS: namespacePath(name),
      CNI_IFNAME: 'eth0',
      CNI_PATH: contestant.binaryDirectory,
      PATH: process.env.PATH,
    },
  })
  if (status !== 0) throw new Error(`${command} ${configuration.type}: ${stdout}`)
  return stdout === '' ? undefined : JSON.parse(stdout)
}

function add(contestant: Contestant, name: string, container: number): unknown {
  let prevResult: unknown
  for (const plugin of contestant.plugins(container)) {
    prevResult = execute(
      contestant,
      'ADD',
      name,
      prevResult === undefined ? plugin : { ...plugin, prevResult },
    )
  }
  return prevResult
}

function remove(contestant: Contestant, name: string, container: number, prevResult: unknown): void {
  for (const plugin of contestant.plugins(container).toReversed()) {
    execute(contestant, 'DEL', name, { ...plugin, prevResult })
  }
}

interface Times {
  readonly add: number[]
  readonly delete: number[]
}

interface Entrant {
  readonly contestant: Contestant
  readonly prefix: string
  readonly times: Times
}

function timed<T>(samples: number[], work: () => T): T {
  const begin = performance.now()
  const result = work()
  samples.push(performance.now() - begin)
  return result
}

/**
 * Adds containers one after the other, so that the last ones meet a host that has some; then deletes them. Contestants take
 * turns, because what else the machine does changes within seconds.
 */
function measure(...contestants: readonly Contestant[]): Times[] {
  const entrants = contestants.map((contestant, index): Entrant => {
    return { contestant, prefix: `bench-${index}`, times: { add: [], delete: [] } }
  })
  const containers = Array.from({ length: CONTAINERS }, (_, container) => container)
  const all = containers.flatMap(container =>
    (container % 2 === 0 ? entrants : entrants.toReversed()).map(entrant => {
      return { ...entrant, container, name: `${entrant.prefix}-${container}` }
    }),
  )
  for (const { name } of all) addNamespace(name)
  const results = all.map(({ contestant, name, container, times }) =>
    timed(times.add, () => add(contestant, name, container)),
  )
  for (const [index, { contestant, name, container, times }] of all.entries()) {
    timed(times.delete, () => remove(contestant, name, container, results[index]))
  }
  for (const { name } of all) deleteNamespace(name)
  return entrants.map(({ times }) => times)
}

function quantile(samples: readonly number[], fraction: number): number {
  const sorted = samples.toSorted((a, b) => a - b)
  return Number((sorted[Math.floor(sorted.length * fraction)] ?? Number.NaN).toFixed(2))
}

function portMappings(container: number): Configuration {
  return {
    runtimeConfig: { portMappings: [{ hostPort: 30_000 + container, containerPort: 80, protocol: 'tcp' }] },
  }
}

function debian(isPublished: boolean): Contestant {
  const bridge = {
    type: 'bridge',
    bridge: 'cni0',
    isGateway: true,
    isDefaultGateway: true,
    ipMasq: true,
    ipam: { type: 'host-local', ranges: [[{ subnet: '10.88.0.0/16' }]], dataDir: '/run/host-local' },
  }
  return {
    binaryDirectory: DEBIAN_PLUGINS,
    plugins: container =>
      isPublished ? [bridge, { type: 'portmap', snat: true, ...portMappings(container) }] : [bridge],
  }
}

function figure(
  name: string,
  ours: readonly number[],
  theirs: readonly number[] | undefined,
  peerName: string,
): Figure {
  const value = quantile(ours, 0.5)
  const own = { bench: 'cni', name, value, unit: 'ms', p95: quantile(ours, 0.95) } as const
  if (theirs === undefined) return own
  const peer = quantile(theirs, 0.5)
  return {
    ...own,
    peer: { name: peerName, value: peer, ratio: Number((value / peer).toFixed(3)) },
    ...(name.startsWith('ADD') ? { budget: 'ratio <= 1' } : {}),
  }
}

/** The agent in a process of its own, as it is in reality. */
async function startAgent(directories: object): Promise<ChildProcess> {
  const program = path.resolve(import.meta.dirname, '../../e2e/network/agent-process.ts')
  const agent = spawn(process.execPath, [program, JSON.stringify(directories)], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  await once(agent, 'message')
  return agent
}

async function benchInside(print: (figure: Figure) => void): Promise<void> {
  const directories = await makeHostDirectories()
  const agent = await startAgent(directories)
  try {
    for (const isPublished of [false, true]) {
      const drover: Contestant = {
        binaryDirectory: directories.binaryDirectory,
        plugins: container => [
          { type: 'drover', socket: directories.cniSocket, ...(isPublished ? portMappings(container) : {}) },
        ],
      }
      const others = existsSync(DEBIAN_PLUGINS) ? [debian(isPublished)] : []
      const [ours, theirs] = measure(drover, ...others)
      if (ours === undefined) continue
      const what = isPublished ? 'with a published port' : 'without ports'
      const peer = `bridge + host-local${isPublished ? ' + portmap' : ''}`
      print(figure(`ADD ${what}`, ours.add, theirs?.add, peer))
      print(figure(`DEL ${what}`, ours.delete, theirs?.delete, peer))
    }
  } finally {
    agent.kill('SIGKILL')
    rmSync(path.dirname(directories.dataDirectory), { recursive: true })
  }
}

/** Runs in a private network of its own, as root. */
export async function bench(print: (figure: Figure) => void): Promise<void> {
  const child = spawn(process.execPath, [import.meta.filename], { stdio: ['ignore', 'pipe', 'inherit'] })
  for await (const line of createInterface({ input: child.stdout })) print(JSON.parse(line) as Figure)
}

if (process.argv[1] === import.meta.filename) {
  const obstacle = inPrivateNetwork(import.meta.filename)
  if (obstacle !== false) throw new Error(obstacle)
  await benchInside(figure => process.stdout.write(`${JSON.stringify(figure)}\n`))
}
