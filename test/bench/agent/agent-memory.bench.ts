/**
 * Memory of a real agent with all its duties: containers of its own on a real Docker engine, and the metadata of a cluster
 * of 30,000 containers, before and after a storm of changes. AGENT_LOCAL says how many containers of its own (100).
 */
import { spawn } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { DATA, Fleet, until } from '../../lab/fleet.ts'
import { inPrivateNetwork } from '../../lab/private-network.ts'
import { printLine, rounded } from '../figures.ts'

const HOSTS = 250
const CONTAINERS_EACH = 120
const CHANGES = 5_000
const LOCAL = Number(process.env.AGENT_LOCAL ?? 100)

/** Resident and proportional memory of a process, in MiB. */
async function memoryOf(processId: number): Promise<{ resident: number; proportional: number }> {
  const text = await readFile(`/proc/${processId}/smaps_rollup`, 'utf8')
  const field = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1]) / 1024
  return { resident: field('Rss'), proportional: field('Pss') }
}

function print(name: string, value: number, budget?: string): void {
  const figure = { bench: 'agent', name, value: rounded(value), unit: 'MiB' } as const
  printLine(budget === undefined ? figure : { ...figure, budget })
}

async function benchInside(): Promise<void> {
  const cleanups: (() => Promise<void>)[] = []
  const fleet = await Fleet.start({ teardown: work => cleanups.push(work) }, 'memory')
  try {
    const agent = await fleet.daemonPid('agent')
    const line = async (moment: string, budget?: string) => {
      const { resident, proportional } = await memoryOf(agent)
      print(`agent memory, resident, ${moment}`, resident, budget)
      print(`agent memory, proportional, ${moment}`, proportional)
    }
    await line('alone')
    const names = Array.from({ length: LOCAL }, (_, index) => `local-${index}`)
    await Promise.all(
      Array.from({ length: 4 }, async () => {
        for (let name = names.shift(); name !== undefined; name = names.shift())
          await fleet.first.run('docker', [
            'run',
            '--detach',
            '--name',
            name,
            'drover/busybox:1',
            'sleep',
            '1000000',
          ])
      }),
    )
    await until(
      'all containers are known',
      60_000,
      async () => (await fleet.list('containers')).length >= LOCAL,
    )
    await line(`${LOCAL} containers of its own`)

    const token = await fleet.token()
    const admin = JSON.parse((await fleet.first.run('cat', [`${DATA}/admin.json`])).stdout)
    const script = path.join(import.meta.dirname, 'crowd.ts')
    const [command, ...args] = fleet.first.enter(process.execPath, [
      '--disable-warning=ExperimentalWarning',
      script,
      ...[admin.url, fleet.serverUrl, admin.caFile, token],
      ...[HOSTS, CONTAINERS_EACH, CHANGES].map(String),
    ])
    const crowd = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] })
    cleanups.unshift(async () => void crowd.kill('SIGKILL'))
    const said = createInterface({ input: crowd.stdout })[Symbol.asyncIterator]()
    await said.next()
    const objects = async () => {
      const { stdout } = await fleet.first.run('curl', ['--silent', 'http://127.0.0.1:9347/metrics'])
      return Number(/^drover_metadata_objects (\d+)/m.exec(stdout)?.[1])
    }
    await until('the agent knows all', 120_000, async () => (await objects()) >= HOSTS * CONTAINERS_EACH)
    await line('30,000 containers in the cluster', '<= 150')
    crowd.stdin.write('go on\n')
    await said.next()
    await line(`after ${CHANGES} changes`, '<= 150')
    crowd.stdin.write('end\n')
  } finally {
    for (const cleanup of cleanups) await cleanup()
  }
}

const obstacle = inPrivateNetwork(import.meta.filename)
if (obstacle !== false) throw new Error(obstacle)
await benchInside()
process.exit(0)
