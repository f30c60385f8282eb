/** `drover quickstart` and `drover stop`: a server and this host's agent, from nothing to ready. */
import type { ChildProcess } from 'node:child_process'
import { access } from 'node:fs/promises'
import path from 'node:path'
import { ensureImage, type ImageStore, localImages } from '../../images/index.ts'
import { readJsonFile, runCommand, sleep, Type, validatorOf } from '../../kit/index.ts'
import { ApiClient, type Resource } from '../api-client.ts'
import { dataDirectory, findServer, readAdminFile } from '../connection.ts'
import { daemonProcess, startDaemon, stopProcess } from '../daemons.ts'
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
export async function buildImages(store: ImageStore): Promise<readonly string[]> {
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

export async function quickstart(options: QuickstartOptions): Promise<void> {
  const directory = dataDirectory(options.data)
  const children: ChildProcess[] = []
  const docker =
    options.docker ?? process.env.DOCKER_HOST?.replace(/^unix:\/\//, '') ?? '/var/run/docker.sock'
  try {
    progress('making local images')
    await buildImages(new DockerCommand(docker))
    progress('starting the server')
    children.push(
      await startDaemon({
        name: 'server',
        args: [
          '--data',
          directory,
          '--port',
          String(options.port),
          '--tls-port',
          String(options.tlsPort),
          ...(options.advertise === undefined ? [] : ['--advertise', options.advertise]),
        ],
        logFile: path.join(directory, 'server.log'),
        detached: options.detach,
      }),
    )
    const api = new ApiClient(await findServer(directory))
    progress("starting this host's agent")
    const admin = await readAdminFile(directory)
    const member = await exists(path.join(agentDirectory(directory), 'membership.json'))
    const token = member ? undefined : await registrationToken(api)
    children.push(
      await startDaemon({
        name: 'agent',
        args: [
          '--data',
          agentDirectory(directory),
          '--server',
          admin?.tlsUrl ?? '',
          '--docker',
          docker,
          ...(options.address === undefined ? [] : ['--address', options.address]),
        ],
        logFile: path.join(directory, 'agent.log'),
        detached: options.detach,
        // Not among the arguments, which every user of the machine can see.
        ...(token === undefined ? {} : { environment: { DROVER_TOKEN: String(token.token) } }),
      }),
    )
    if (token !== undefined) await api.remove('registrationtokens', token.id)
    await waitForHost(api, directory, Date.now() + HOST_DEADLINE)
    print(`ready: ${admin?.url}`)
  } catch (error) {
    for (const child of children.toReversed()) child.kill('SIGTERM')
    throw error
  }
  if (!options.detach) await superviseUntilSignal(children)
}

/** Stays until asked to end, or until one of the daemons ends. */
async function superviseUntilSignal(children: readonly ChildProcess[]): Promise<void> {
  const ended = new Promise<string>(resolve => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve(signal))
    for (const child of children) child.once('exit', code => resolve(`a daemon ended with code ${code}`))
  })
  const reason = await ended
  for (const child of children.toReversed()) {
    if (child.pid !== undefined && child.exitCode === null) await stopProcess(child.pid)
  }
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
    const pid = await daemonProcess(at, name)
    if (pid === undefined) continue
    await stopProcess(pid)
    print(`stopped ${name} (process ${pid})`)
    stopped += 1
  }
  if (stopped === 0) progress(`nothing runs with the data directory ${directory}`)
}

/** `drover images build`. */
export async function buildImagesCommand(docker: string | undefined): Promise<void> {
  const store = new DockerCommand(
    docker ?? process.env.DOCKER_HOST?.replace(/^unix:\/\//, '') ?? '/var/run/docker.sock',
  )
  const made = await buildImages(store)
  for (const image of localImages) {
    for (const name of image.names)
      print(`${name}  ${made.includes(name) ? 'made' : 'present'}  ${image.purpose}`)
  }
  await runCommand('docker', [
    '--host',
    `unix://${store.socketPath}`,
    'version',
    '--format',
    '{{.Server.Version}}',
  ])
}
