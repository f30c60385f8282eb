/** A lab that outlives the command that made it: for people who want to try a fleet on one machine. */
import { type ChildProcess, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { access, readdir } from 'node:fs/promises'
import path from 'node:path'
import {
  readJsonFile,
  removeFileDurably,
  type Static,
  sleep,
  Type,
  validatorOf,
  writeFileDurably,
} from '../../kit/index.ts'
import { labErrors } from './errors.ts'
import { Lab } from './lab.ts'
import { endProcess, VirtualHost } from './virtual-host.ts'

const ROOT = path.resolve(import.meta.dirname, '../..')
const LAUNCHER = path.join(ROOT, 'drover')

const stateSchema = Type.Object({
  name: Type.String(),
  switchPid: Type.Integer(),
  hosts: Type.Array(
    Type.Object({
      number: Type.Integer(),
      name: Type.String(),
      holder: Type.Integer(),
      dockerPid: Type.Optional(Type.Integer()),
    }),
  ),
})

type State = Static<typeof stateSchema>
const stateFile = validatorOf(stateSchema)

/** Milliseconds for one step of bringing a host up. */
const STEP_DEADLINE = 120_000

function stateFileOf(directory: string): string {
  return path.join(directory, 'lab.json')
}

/** Labs in different directories have different names, for what belongs to the whole machine. */
function nameOf(directory: string): string {
  return createHash('sha256').update(path.resolve(directory)).digest('hex').slice(0, 6)
}

/** A process with a network namespace of its own, for the bridge. */
async function startSwitch(): Promise<number> {
  const child: ChildProcess = spawn('unshare', ['--net', 'sleep', 'infinity'], {
    stdio: 'ignore',
    detached: true,
  })
  child.unref()
  if (child.pid === undefined) throw labErrors.NoNamespaces()
  await sleep(50)
  if (child.exitCode !== null) throw labErrors.NoNamespaces()
  return child.pid
}

async function writeState(directory: string, lab: Lab, name: string, switchPid: number): Promise<void> {
  const state: State = {
    name,
    switchPid,
    hosts: lab.hosts.map((host, index) => ({
      number: index + 1,
      name: host.name,
      holder: host.holder,
      ...(host.dockerPid === undefined ? {} : { dockerPid: host.dockerPid }),
    })),
  }
  await writeFileDurably(stateFileOf(directory), JSON.stringify(state))
}

/** @throws `NoLab` */
async function resume(directory: string): Promise<{ lab: Lab; switchPid: number }> {
  const state = await readJsonFile(stateFileOf(directory), stateFile)
  if (state === undefined) throw labErrors.NoLab({ object: directory })
  const lab = new Lab({ name: state.name, directory, switchPid: state.switchPid })
  for (const { number, name, holder, dockerPid } of state.hosts) {
    lab.adopt(VirtualHost.resume(lab.hostOptions(number, name), holder, dockerPid))
  }
  return { lab, switchPid: state.switchPid }
}

async function startFirst(host: VirtualHost): Promise<void> {
  await host.run(
    LAUNCHER,
    ['quickstart', '--detach', '--address', host.address, '--advertise', `https://${host.address}:8443`],
    { deadline: STEP_DEADLINE },
  )
}

async function join(first: VirtualHost, host: VirtualHost): Promise<void> {
  await host.run(LAUNCHER, ['images', 'build'], { deadline: STEP_DEADLINE })
  const { stdout } = await first.run(LAUNCHER, ['token', '--ttl', '10m'], { deadline: STEP_DEADLINE })
  host.start(
    LAUNCHER,
    ['agent', '--server', `https://${first.address}:8443`, '--address', host.address],
    'agent',
    {
      DROVER_TOKEN: stdout.trim(),
    },
  )
}

/** Waits until every host is active. */
async function waitForHosts(first: VirtualHost, count: number): Promise<void> {
  const deadline = Date.now() + STEP_DEADLINE
  for (;;) {
    const { stdout } = await first.run(LAUNCHER, ['hosts', '--json'])
    const hosts = JSON.parse(stdout) as { agentState: string }[]
    if (hosts.filter(({ agentState }) => agentState === 'active').length === count) return
    if (Date.now() > deadline) throw labErrors.HostsMissing({ object: `lab of ${count} hosts` })
    await sleep(200)
  }
}

/**
 * Makes `count` hosts, a server on the first one, and agents on all.
 *
 * @throws `LabExists`; whatever stood in the way, after taking down what was made
 */
export async function labUp(directory: string, count: number, say: (text: string) => void): Promise<void> {
  if ((await readJsonFile(stateFileOf(directory), stateFile)) !== undefined)
    throw labErrors.LabExists({ object: directory })
  const name = nameOf(directory)
  const switchPid = await startSwitch()
  const lab = new Lab({ name, directory, switchPid })
  try {
    await lab.createSwitch()
    for (let number = 1; number <= count; number += 1) {
      const host = await lab.addHost(number)
      await writeState(directory, lab, name, switchPid)
      say(`${host.name} has Docker, at ${host.address}`)
    }
    const [first, ...others] = lab.hosts
    if (first === undefined) return
    await startFirst(first)
    say(`the server runs on ${first.name}`)
    await Promise.all(others.map(host => join(first, host)))
    await waitForHosts(first, count)
    say('every host is active; try: drover lab exec h1 ./drover hosts')
  } catch (error) {
    await lab.remove()
    await endProcess(switchPid, 'SIGKILL')
    throw error
  }
}

/** Removes the lab. @throws `NoLab`, `LeftBehind` */
export async function labDown(directory: string): Promise<void> {
  const { lab, switchPid } = await resume(directory)
  await lab.remove()
  await endProcess(switchPid, 'SIGKILL')
  await removeFileDurably(stateFileOf(directory)).catch(() => undefined)
  const left = await leftovers(directory)
  if (left.length > 0) throw labErrors.LeftBehind({ object: left.join(', ') })
}

/** What is there of a lab after it was removed: nothing. */
async function leftovers(directory: string): Promise<string[]> {
  const root = '/sys/fs/cgroup'
  const prefix = `drover-lab-${nameOf(directory)}`
  const controllers = await readdir(root).catch(() => [])
  const groups = await Promise.all(
    ['', ...controllers].map(async controller => {
      const names = await readdir(path.join(root, controller)).catch(() => [])
      return names.filter(name => name.startsWith(prefix)).map(name => path.join(root, controller, name))
    }),
  )
  const exists = await access(directory).then(
    () => [directory],
    () => [],
  )
  return [...groups.flat(), ...exists]
}

/** Runs a command on a host, with this process's input and output; resolves with its exit code. */
export async function labExec(
  directory: string,
  hostName: string,
  command: readonly string[],
): Promise<number> {
  const { lab } = await resume(directory)
  const host = lab.hosts.find(({ name }) => name === hostName)
  if (host === undefined) {
    throw labErrors.UnknownHost({
      object: hostName,
      expected: `one of ${lab.hosts.map(({ name }) => name).join(', ')}`,
    })
  }
  const [file, ...args] = host.enter(command[0] ?? 'bash', command.slice(1))
  const child = spawn(file, args, { stdio: 'inherit' })
  return await new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', code => resolve(code ?? 1))
  })
}
