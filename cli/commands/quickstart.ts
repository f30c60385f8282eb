/** `drover quickstart` and `drover stop`: a server and this host's agent, from nothing to ready. */
import type { ChildProcess } from 'node:child_process'
import { access } from 'node:fs/promises'
import path from 'node:path'
import { ensureImage, type ImageStore, localImages } from '../../images/index.ts'
import { readJsonFile, sleep, Type, validatorOf } from '../../kit/index.ts'
import { ApiClient, type Resource } from '../api-client.ts'
import { dataDirectory, localServer, readAdminFile } from '../connection.ts'
import { daemonProcess, startDaemon, stopChild, stopDaemon } from '../daemons.ts'
import { DockerCommand } from '../docker-command.ts'
import { cliErrors } from '../errors.ts'
import { print, progress } from '../output.ts'

export interface QuickstartOptions {
  readonly data?: string
  readonly port: number
  readonly tlsPort: number
  readonly detach: boolean
  readonly docker?: string
  readonly address?: string
  readonly advertise?: string
}

/** Milliseconds for the agent's host to become ready. */
const HOST_DEADLINE = 60_000

/** The part of the agent's own file that is of interest here. */
const membershipFile = validatorOf(Type.Object({ hostId: Type.String() }))

/** Docker's socket: as asked for, else where the environment says, else where it usually is. */
function dockerSocket(option: string | undefined): string {
  return (option ?? process.env.DOCKER_HOST ?? '/var/run/docker.sock').replace(/^unix:\/\//, '')
}

function agentDirectory(directory: string): string {
  return path.join(directory, 'agent')
}

async function exists(file: string): Promise<boolean> {
  return await access(file).then(
    () => true,
    () => false,
  )
}

/** Makes the local images that the engine does not have. */
async function buildImages(store: ImageStore): Promise<readonly string[]> {
  const made: string[] = []
  for (const image of localImages) made.push(...(await ensureImage(store, image)))
  return made
}

/** A token for the one registration that follows. */
async function registrationToken(api: ApiClient): Promise<Resource> {
  const [cluster] = await api.list('clusters', { name: 'default' })
  if (cluster === undefined) throw cliErrors.NotFound({ object: 'cluster default' })
  return await api.create('registrationtokens', { clusterId: cluster.id, expiresInSeconds: 600 })
}

interface NodeList {
  readonly items: readonly {
    readonly metadata: { readonly name: string }
    readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] }
  }[]
}

/** Whether the host of this machine's agent is connected, and its node ready for pods. */
async function hostReady(api: ApiClient, directory: string): Promise<boolean> {
  const membership = await readJsonFile(
    path.join(agentDirectory(directory), 'membership.json'),
    membershipFile,
  )
  const host = (await api.list('hosts')).find(({ id }) => id === membership?.hostId)
  if (host === undefined || host.agentState !== 'active') return false
  const nodes = (await api.kubernetes(String(host.clusterId), '/api/v1/nodes')) as NodeList
  const node = nodes.items.find(({ metadata }) => metadata.name === host.nodeName)
  return node?.status?.conditions?.some(({ type, status }) => type === 'Ready' && status === 'True') === true
}

/** Waits until the cluster counts this host in. */
async function waitForHost(api: ApiClient, directory: string, deadline: number): Promise<void> {
  while (!(await hostReady(api, directory))) {
    if (Date.now() > deadline) {
      throw cliErrors.NotReady({ object: 'host', mend: `see ${path.join(directory, 'agent.log')}` })
    }
    await sleep(50)
  }
}

/** Starts the server, unless one runs with this directory. */
async function ensureServer(
  directory: string,
  options: QuickstartOptions,
): Promise<ChildProcess | undefined> {
  const running = await daemonProcess(directory, 'server')
  if (running !== undefined) {
    progress(`the server runs already (process ${running})`)
    return undefined
  }
  progress('starting the server')
  return await startDaemon({
    name: 'server',
    args: [
      ...['--data', directory],
      ...['--port', String(options.port)],
      ...['--tls-port', String(options.tlsPort)],
      ...(options.advertise === undefined ? [] : ['--advertise', options.advertise]),
    ],
    logFile: path.join(directory, 'server.log'),
    detached: options.detach,
  })
}

/** Starts this host's agent, unless one runs with this directory; registers it the first time. */
async function ensureAgent(
  directory: string,
  docker: string,
  options: QuickstartOptions,
  api: ApiClient,
): Promise<ChildProcess | undefined> {
  const running = await daemonProcess(agentDirectory(directory), 'agent')
  if (running !== undefined) {
    progress(`the agent runs already (process ${running})`)
    return undefined
  }
  progress("starting this host's agent")
  const admin = await readAdminFile(directory)
  const member = await exists(path.join(agentDirectory(directory), 'membership.json'))
  const token = member ? undefined : await registrationToken(api)
  const agent = await startDaemon({
    name: 'agent',
    args: [
      ...['--data', agentDirectory(directory)],
      ...['--server', admin?.tlsUrl ?? ''],
      ...['--docker', docker],
      ...(options.address === undefined ? [] : ['--address', options.address]),
    ],
    logFile: path.join(directory, 'agent.log'),
    detached: options.detach,
    // Not among the arguments, which every user of the machine can see.
    ...(token === undefined ? {} : { environment: { DROVER_TOKEN: String(token.token) } }),
  })
  if (token !== undefined) await api.remove('registrationtokens', token.id)
  return agent
}

/** Brings up what does not run yet, and waits until this host can run containers. */
export async function quickstart(options: QuickstartOptions): Promise<void> {
  const directory = dataDirectory(options.data)
  const docker = dockerSocket(options.docker)
  const started: ChildProcess[] = []
  try {
    await buildImages(new DockerCommand(docker))
    const server = await ensureServer(directory, options)
    if (server !== undefined) started.push(server)
    const api = new ApiClient(await localServer(directory))
    const agent = await ensureAgent(directory, docker, options, api)
    if (agent !== undefined) started.push(agent)
    await waitForHost(api, directory, Date.now() + HOST_DEADLINE)
  } catch (error) {
    for (const child of started.toReversed()) await stopChild(child)
    throw error
  }
  print(`ready: ${(await readAdminFile(directory))?.url}`)
  if (!options.detach) await superviseUntilSignal(started)
}

/** Stays until asked to end, or until one of the daemons ends. */
async function superviseUntilSignal(children: readonly ChildProcess[]): Promise<void> {
  const ended = new Promise<string>(resolve => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve(signal))
    for (const child of children) child.once('exit', code => resolve(`a daemon ended with code ${code}`))
  })
  const reason = await ended
  for (const child of children.toReversed()) await stopChild(child)
  if (!reason.startsWith('SIG')) throw cliErrors.Failed({ object: 'quickstart', message: reason })
}

export async function stop(dataOption: string | undefined): Promise<void> {
  const directory = dataDirectory(dataOption)
  const places = [
    { name: 'agent', at: agentDirectory(directory) },
    { name: 'agent', at: directory },
    { name: 'server', at: directory },
  ]
  let stopped = 0
  for (const { name, at } of places) {
    const pid = await stopDaemon(at, name)
    if (pid === undefined) continue
    print(`stopped ${name} (process ${pid})`)
    stopped += 1
  }
  if (stopped === 0) progress(`nothing runs with the data directory ${directory}`)
}

/** `drover images build`. */
export async function buildImagesCommand(docker: string | undefined): Promise<void> {
  const made = await buildImages(new DockerCommand(dockerSocket(docker)))
  for (const { names, purpose } of localImages) {
    for (const name of names) print(`${name}  ${made.includes(name) ? 'made' : 'present'}  ${purpose}`)
  }
}
