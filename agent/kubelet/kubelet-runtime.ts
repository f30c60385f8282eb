/**
 * Has a real kubelet run the pods of this host: tells it what to do, starts it, and starts it again when it ends.
 *
 * Level-triggered: whatever is missing (the program, a container runtime, the cluster's authority) is looked for again
 * and again, and said to people meanwhile.
 */
import { once } from 'node:events'
import { constants, mkdir, readFile, rm } from 'node:fs/promises'
import { connect, type Socket } from 'node:net'
import {
  atMost,
  Backoff,
  type Daemon,
  explainError,
  type Logger,
  makePrivateDirectory,
  ReconcileLoop,
  type ReconcileResult,
  writeFileDurably,
} from '../../kit/index.ts'
import { CLIENT_AUTHORITY, KUBELET_PORT } from '../../protocol/index.ts'
import type { ConfigMap, KubernetesClient } from '../../protocol/kubernetes/index.ts'
import { unmountBelow } from '../volumes/index.ts'
import {
  bootstrapKubeconfig,
  type ClusterAccess,
  type ContainerRuntime,
  hasDocker,
  type KubeletHost,
  kubeletArguments,
  kubeletConfiguration,
  kubeletFiles,
} from './configuration.ts'
import { kubeletErrors } from './errors.ts'
import { type Ended, KubeletProcess } from './kubelet-process.ts'
import { firstUsable, type KubeletProgram, KubeletProgramFinder } from './kubelet-program.ts'

export interface KubeletRuntimeOptions {
  /** Of its own. */
  readonly directory: string
  readonly client: Pick<KubernetesClient, 'get'>
  readonly access: ClusterAccess
  readonly host: Omit<KubeletHost, 'runtime' | 'resolvConf'>
  /** The engine that the agent uses. */
  readonly docker: { readonly socket: string; readonly pauseImage: string }
  /** Called when `failure` is another. */
  readonly onFailureChanged: () => void
  readonly log: Logger
  /** Where the program is looked for; where distributions put it when absent. */
  readonly programDirectories?: readonly string[]
  /** Where container runtimes listen, the best first; their usual places when absent. */
  readonly runtimeSockets?: readonly string[]
}

/** That of Docker comes first: its containers are the ones that Drover sees. */
const RUNTIME_SOCKETS = [
  '/run/cri-dockerd.sock',
  '/var/run/cri-dockerd.sock',
  '/run/containerd/containerd.sock',
  '/run/crio/crio.sock',
]
/** systemd's list of name servers, where the host's own file names a local stub; and that file. */
const RESOLV_CONFS = ['/run/systemd/resolve/resolv.conf', '/etc/resolv.conf']

/** Milliseconds until it has to accept a connection. */
const CONNECT_DEADLINE = 5_000
/** Milliseconds between two looks for what is missing. */
const LOOK_INTERVAL = 10_000
/** And while nothing is. */
const WELL_INTERVAL = 60_000
/** Milliseconds for which an authority that is known is good enough: it changes once in years. */
const AUTHORITY_INTERVAL = 3_600_000
/** Milliseconds after which a kubelet that still runs is well. */
const WELL_AFTER = 10_000
const RESTARTS = { initial: 1_000, maximum: 60_000 }

/** Writes a file that is not so yet. @returns whether there was another text before */
async function keepFile(file: string, text: string): Promise<boolean> {
  const before = await readFile(file, 'utf8').catch(() => undefined)
  if (before === text) return false
  await writeFileDurably(file, text)
  return before !== undefined
}

export class KubeletRuntime implements Daemon {
  readonly name = 'kubelet'
  readonly #options: KubeletRuntimeOptions
  readonly #files
  readonly #finder: KubeletProgramFinder
  readonly #process: KubeletProcess
  readonly #loop: ReconcileLoop<'kubelet'>
  readonly #backoff = new Backoff(RESTARTS)
  #failure: string | undefined
  /** Monotonic milliseconds; undefined while it does not run. */
  #startedAt: number | undefined
  #startAt = 0
  /** Counts its starts and ends, to tell its own end from one that was wanted. */
  #run = 0
  /** When the authority was asked for last, in monotonic milliseconds. */
  #authorityAt = Number.NEGATIVE_INFINITY

  constructor(options: KubeletRuntimeOptions) {
    this.#options = options
    this.#files = kubeletFiles(options.directory)
    this.#finder = new KubeletProgramFinder(options.log, options.programDirectories)
    this.#process = new KubeletProcess(this.#files, options.log)
    this.#loop = new ReconcileLoop<'kubelet'>({
      name: this.name,
      log: options.log,
      backoff: { initial: 1_000, maximum: LOOK_INTERVAL },
      reconcile: () => this.#reconcile(),
    })
  }

  /** Why pods are not run as they should be; undefined while they are. */
  get failure(): string | undefined {
    return this.#failure
  }

  /** Connects to where it answers. @throws the system's error, `Timeout` */
  async connect(): Promise<Socket> {
    const socket = connect({ host: this.#options.host.address, port: KUBELET_PORT })
    try {
      await atMost(CONNECT_DEADLINE, 'the kubelet of this host', once(socket, 'connect'))
      return socket
    } catch (error) {
      socket.destroy()
      throw error
    }
  }

  async start(): Promise<void> {
    await makePrivateDirectory(this.#options.directory)
    // One of an agent that was killed: its output and its end are nobody's any more.
    await this.#process.end()
    this.#loop.start()
    this.#loop.kick('kubelet')
  }

  /** Ends the kubelet; pods go on. */
  async stop(): Promise<void> {
    await this.#loop.stop()
    this.#run += 1
    await this.#process.end()
  }

  async #reconcile(): Promise<ReconcileResult> {
    try {
      return await this.#step()
    } catch (error) {
      this.#setFailure(explainError(error))
      return { requeueAfter: LOOK_INTERVAL }
    }
  }

  async #step(): Promise<ReconcileResult> {
    const program = await this.#finder.find()
    const host = await this.#host(program)
    const changed = await this.#writeFiles(host)
    if (this.#startedAt !== undefined && changed) {
      this.#startedAt = undefined
      this.#startAt = 0
      this.#run += 1
      await this.#process.end()
    }
    if (this.#startedAt !== undefined) {
      const left = this.#startedAt + WELL_AFTER - performance.now()
      if (left > 0) return { requeueAfter: left }
      this.#backoff.reset()
      this.#setFailure(undefined)
      await this.#process.turnLog()
      return { requeueAfter: WELL_INTERVAL }
    }
    const pause = this.#startAt - performance.now()
    if (pause > 0) return { requeueAfter: pause }
    this.#startAt = performance.now() + this.#backoff.next()
    this.#run += 1
    const run = this.#run
    // Before it is: it may end at once.
    this.#startedAt = performance.now()
    try {
      const args = kubeletArguments(host, this.#files, program.minor)
      await this.#process.start(program.file, args, ended => this.#ended(run, ended))
    } catch (error) {
      this.#startedAt = undefined
      throw error
    }
    return { requeueAfter: WELL_AFTER }
  }

  #ended(run: number, { exitCode, signal, words }: Ended): void {
    // One that was told to end is no news.
    if (run !== this.#run) return
    this.#startedAt = undefined
    const how = exitCode === null ? `was ended by ${signal}` : `ended (exit code ${exitCode})`
    const error = kubeletErrors.KubeletEnded({ object: 'kubelet', message: `${how}: ${words}` })
    this.#options.log.warn({ err: error }, 'the kubelet ended; it is started again')
    this.#setFailure(explainError(error))
    this.#loop.kick('kubelet')
  }

  #setFailure(failure: string | undefined): void {
    if (failure === this.#failure) return
    if (failure !== undefined)
      this.#options.log.warn({ reason: failure }, 'pods are not run as they should be')
    this.#failure = failure
    this.#options.onFailureChanged()
  }

  async #host({ minor }: KubeletProgram): Promise<KubeletHost> {
    const resolvConf = (await firstUsable(RESOLV_CONFS, constants.R_OK)) ?? '/etc/resolv.conf'
    return { ...this.#options.host, runtime: await this.#runtime(minor), resolvConf }
  }

  /** @throws `NoContainerRuntime` */
  async #runtime(minor: number | undefined): Promise<ContainerRuntime> {
    if (hasDocker(minor)) return { kind: 'docker', ...this.#options.docker }
    const sockets = this.#options.runtimeSockets ?? RUNTIME_SOCKETS
    const socket = await firstUsable(sockets, constants.R_OK | constants.W_OK)
    if (socket === undefined)
      throw kubeletErrors.NoContainerRuntime({ expected: `a socket at ${sockets.join(', ')}` })
    return { kind: 'cri', socket }
  }

  /** @returns whether a kubelet that runs was told something else */
  async #writeFiles(host: KubeletHost): Promise<boolean> {
    const files = this.#files
    await mkdir(files.root, { recursive: true, mode: 0o750 })
    const authority = await keepFile(files.clientAuthority, await this.#clientAuthority())
    const text = `${JSON.stringify(kubeletConfiguration(host, files), undefined, 2)}\n`
    const configuration = await keepFile(files.configuration, text)
    const bootstrap = await keepFile(files.bootstrap, bootstrapKubeconfig(this.#options.access))
    // What it was given by then may be for another place, or by another server.
    if (bootstrap) await rm(files.kubeconfig, { force: true })
    return authority || configuration || bootstrap
  }

  /** Of the cluster; as it was, where no server says it. */
  async #clientAuthority(): Promise<string> {
    const { namespace, name, key } = CLIENT_AUTHORITY
    const kept = await readFile(this.#files.clientAuthority, 'utf8').catch(() => undefined)
    if (kept !== undefined && performance.now() - this.#authorityAt < AUTHORITY_INTERVAL) return kept
    const object = `ConfigMap ${namespace}/${name}`
    try {
      const map = await this.#options.client.get<ConfigMap>(
        `/api/v1/namespaces/${namespace}/configmaps/${name}`,
      )
      const authority = map.data?.[key]
      if (authority === undefined) throw kubeletErrors.NoClientAuthority({ object, expected: `a key ${key}` })
      this.#authorityAt = performance.now()
      return authority
    } catch (cause) {
      if (kept !== undefined) return kept
      throw kubeletErrors.NoClientAuthority({ object, message: explainError(cause), cause })
    }
  }
}

/** Ends a kubelet of this directory, and removes what there is of it. */
export async function removeKubelet(directory: string, log: Logger): Promise<void> {
  const files = kubeletFiles(directory)
  await new KubeletProcess(files, log).end()
  await unmountBelow(files.root)
  await rm(directory, { recursive: true, force: true })
}
