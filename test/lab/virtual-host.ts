/**
 * A virtual host: namespaces of its own for network, mounts and hostname, a Docker engine of its own, and private
 * /run, /etc, /opt and /var/lib, so that whatever is installed on it stays on it.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { mkdir, readdir, readFile, readlink, rm, rmdir } from 'node:fs/promises'
import path from 'node:path'
import {
  type CommandOptions,
  type CommandResult,
  DroverError,
  runCommand,
  sleep,
  systemErrorCode,
} from '../../kit/index.ts'
import { labErrors } from './errors.ts'

export interface VirtualHostOptions {
  /** Its hostname, and the name of everything that belongs to it. */
  readonly name: string
  /** Everything it keeps. */
  readonly directory: string
  /** Its address on the lab's network, with prefix length. */
  readonly address: string
  /** Where its Docker engine puts cgroups. */
  readonly cgroup: string
}

/** Directories that a host has for itself: changes go to its own directory, the machine's stay as they are. */
const OVERLAYS = ['/etc', '/opt', '/var/lib']
const CGROUP_ROOT = '/sys/fs/cgroup'
const DOCKER_DEADLINE = 60_000
const DOCKER_STARTS = 5

export class VirtualHost {
  readonly name: string
  readonly address: string
  readonly directory: string
  /** Of the process that holds the namespaces. */
  readonly holder: number
  readonly #cgroup: string
  #dockerPid: number | undefined

  private constructor(options: VirtualHostOptions, holder: number, dockerPid: number | undefined) {
    this.name = options.name
    this.address = options.address.split('/')[0] ?? ''
    this.directory = options.directory
    this.holder = holder
    this.#cgroup = options.cgroup
    this.#dockerPid = dockerPid
  }

  /** Of its Docker engine; undefined while that is stopped. */
  get dockerPid(): number | undefined {
    return this.#dockerPid
  }

  /** Docker's socket, as seen from outside. */
  get dockerSocket(): string {
    return path.join(this.directory, 'run/docker.sock')
  }

  /** Makes the namespaces. @throws `UnusableDirectory`, `NoNamespaces` */
  static async create(options: VirtualHostOptions): Promise<VirtualHost> {
    if (OVERLAYS.some(directory => `${path.resolve(options.directory)}/`.startsWith(`${directory}/`))) {
      throw labErrors.UnusableDirectory({
        object: options.directory,
        expected: `a place outside of ${OVERLAYS.join(', ')}`,
      })
    }
    await mkdir(path.join(options.directory, 'run'), { recursive: true })
    const holder = await startHolder(options.directory)
    const host = new VirtualHost(options, holder, undefined)
    try {
      await host.#mountPrivateDirectories()
      await host.run('hostname', [options.name])
      await host.run('ip', ['link', 'set', 'lo', 'up'])
    } catch (error) {
      process.kill(holder, 'SIGKILL')
      throw error
    }
    return host
  }

  /** Takes up a host that another process made. */
  static resume(options: VirtualHostOptions, holder: number, dockerPid: number | undefined): VirtualHost {
    return new VirtualHost(options, holder, dockerPid)
  }

  /** The command line that runs something on this host. */
  enter(file: string, args: readonly string[]): [string, ...string[]] {
    return [
      'nsenter',
      '--target',
      String(this.holder),
      '--net',
      '--mount',
      '--uts',
      `--wdns=${process.cwd()}`,
      file,
      ...args,
    ]
  }

  /** Runs a command on this host to its end. @throws `CommandFailed` */
  async run(file: string, args: readonly string[], options: CommandOptions = {}): Promise<CommandResult> {
    const [command, ...rest] = this.enter(file, args)
    return await runCommand(command, rest, options)
  }

  /** Starts something that lives on; its output goes to a file. */
  start(
    file: string,
    args: readonly string[],
    logName: string,
    environment: NodeJS.ProcessEnv = {},
  ): ChildProcess {
    const [command, ...rest] = this.enter(file, args)
    const log = openSync(path.join(this.directory, `${logName}.log`), 'a', 0o600)
    const child = spawn(command, rest, {
      stdio: ['ignore', log, log],
      detached: true,
      env: { ...process.env, ...environment },
    })
    closeSync(log)
    child.unref()
    return child
  }

  /**
   * Starts the Docker engine and waits until it answers. An engine that gives up at once finds what the one before has not
   * taken away yet; like an init system, this starts it again.
   *
   * @throws `DockerDidNotStart`
   */
  async startDocker(): Promise<void> {
    const deadline = Date.now() + DOCKER_DEADLINE
    let child = this.#spawnDocker()
    for (let starts = 1; ; ) {
      if (child.exitCode !== null) {
        if (starts >= DOCKER_STARTS) {
          throw labErrors.DockerDidNotStart({
            object: `host ${this.name}`,
            mend: `see ${this.directory}/docker.log`,
          })
        }
        starts += 1
        await sleep(1_000)
        child = this.#spawnDocker()
      }
      const version = await this.run('docker', ['version', '--format', '{{.Server.Version}}'], {
        acceptedExitCodes: [0, 1],
      })
      if (version.exitCode === 0) return
      if (Date.now() > deadline) throw labErrors.DockerDidNotStart({ object: `host ${this.name}` })
      await sleep(50)
    }
  }

  #spawnDocker(): ChildProcess {
    const child = this.start(
      'dockerd',
      [
        '--data-root',
        path.join(this.directory, 'docker'),
        '--exec-root',
        '/run/docker',
        '--pidfile',
        '/run/docker.pid',
        '--cgroup-parent',
        this.#cgroup,
      ],
      'docker',
      // containerd writes there what it did when the engine ends it for not answering.
      { TMPDIR: this.directory },
    )
    this.#dockerPid = child.pid
    return child
  }

  /** Ends the Docker engine; its containers end with it. */
  async stopDocker(): Promise<void> {
    const pid = this.#dockerPid
    this.#dockerPid = undefined
    // It gives its containers ten seconds.
    if (pid !== undefined) await endProcess(pid, 'SIGTERM', 30_000)
  }

  /**
   * As if somebody pulled the plug: everything on it ends at once, its disks stay. `VirtualHost.create` with the same
   * options starts it again.
   */
  async powerOff(): Promise<void> {
    const { stdout } = await this.run('docker', ['ps', '--quiet', '--no-trunc'], {
      acceptedExitCodes: [0, 1],
    })
    const inspect = ['inspect', '--format', '{{.State.Pid}}']
    const ids = stdout.split('\n').filter(id => id !== '')
    const pids = ids.length === 0 ? '' : (await this.run('docker', [...inspect, ...ids])).stdout
    for (const pid of await this.#processes()) await endProcess(pid, 'SIGKILL')
    for (const pid of pids.split('\n').filter(line => Number(line) > 0))
      await endProcess(Number(pid), 'SIGKILL')
    this.#dockerPid = undefined
    await endProcess(this.holder, 'SIGKILL')
    // What is in memory on a real machine.
    await rm(path.join(this.directory, 'run'), {
      recursive: true,
      force: true,
      maxRetries: 5,
      retryDelay: 100,
    })
  }

  /** Removes all containers, ends everything on the host and what it kept. */
  async remove(): Promise<void> {
    await this.#removeContainers()
    await this.stopDocker()
    for (const pid of await this.#processes()) await endProcess(pid, 'SIGKILL')
    await endProcess(this.holder, 'SIGKILL')
    await this.#removeCgroups()
    await rm(this.directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 })
  }

  async #removeContainers(): Promise<void> {
    try {
      const { stdout } = await this.run('docker', ['ps', '--all', '--quiet'])
      const ids = stdout.split('\n').filter(id => id !== '')
      if (ids.length > 0)
        await this.run('docker', ['rm', '--force', '--volumes', ...ids], { deadline: 60_000 })
    } catch (error) {
      // Without an engine there are no containers to remove.
      if (!(error instanceof DroverError)) throw error
    }
  }

  async #mountPrivateDirectories(): Promise<void> {
    const { directory } = this
    await this.run('mount', ['--bind', path.join(directory, 'run'), '/run'])
    for (const target of OVERLAYS) {
      const base = path.join(directory, 'overlay', target.replaceAll('/', '-'))
      const [upper, work] = [path.join(base, 'upper'), path.join(base, 'work')]
      await mkdir(upper, { recursive: true })
      await mkdir(work, { recursive: true })
      const options = `lowerdir=${target},upperdir=${upper},workdir=${work}`
      await this.run('mount', ['-t', 'overlay', 'overlay', '-o', options, target])
    }
  }

  /** Processes that live in this host's network namespace, and are not of its containers. */
  async #processes(): Promise<number[]> {
    const wanted = await namespaceOf(this.holder)
    const pids = (await readdir('/proc')).filter(name => /^\d+$/.test(name)).map(Number)
    const found: number[] = []
    for (const pid of pids) {
      if (pid !== this.holder && wanted !== undefined && (await namespaceOf(pid)) === wanted) found.push(pid)
    }
    return found
  }

  async #removeCgroups(): Promise<void> {
    for (const controller of await readdir(CGROUP_ROOT).catch(() => [])) {
      await removeCgroup(path.join(CGROUP_ROOT, controller, this.#cgroup))
    }
    await removeCgroup(path.join(CGROUP_ROOT, this.#cgroup))
  }
}

/** Starts the process that keeps the namespaces alive, and waits until it has them. */
async function startHolder(directory: string): Promise<number> {
  const log = openSync(path.join(directory, 'holder.log'), 'a', 0o600)
  const child = spawn(
    'unshare',
    ['--net', '--mount', '--uts', '--propagation', 'private', 'sleep', 'infinity'],
    { stdio: ['ignore', log, log], detached: true },
  )
  closeSync(log)
  child.unref()
  const { pid } = child
  if (pid === undefined) throw labErrors.NoNamespaces()
  const own = await namespaceOf(process.pid)
  // `unshare` becomes `sleep` once the namespaces are there.
  while ((await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '')).trim() !== 'sleep') {
    if (child.exitCode !== null) throw labErrors.NoNamespaces()
    await sleep(5)
  }
  if ((await namespaceOf(pid)) === own) throw labErrors.NoNamespaces()
  return pid
}

async function namespaceOf(pid: number): Promise<string | undefined> {
  return await readlink(`/proc/${pid}/ns/net`).catch(() => undefined)
}

/** Sends a signal and waits until the process is gone; after `patience` milliseconds it is killed. */
export async function endProcess(pid: number, signal: NodeJS.Signals, patience = 10_000): Promise<void> {
  const alive = () => {
    try {
      process.kill(pid, 0)
      return true
    } catch {
      // No such process.
      return false
    }
  }
  const send = (wanted: NodeJS.Signals) => {
    try {
      process.kill(pid, wanted)
    } catch (error) {
      // It ended just now.
      if (systemErrorCode(error) !== 'ESRCH') throw error
    }
  }
  if (!alive()) return
  send(signal)
  const deadline = Date.now() + patience
  while (alive() && !(await isZombie(pid))) {
    if (Date.now() > deadline) send('SIGKILL')
    await sleep(20)
  }
}

async function isZombie(pid: number): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  return /\) Z /.test(stat)
}

/** Removes a cgroup with those in it; one that still holds a process stays, and the check afterwards tells. */
async function removeCgroup(directory: string): Promise<void> {
  const entries = await readdir(directory, { withFileTypes: true }).catch(() => [])
  for (const entry of entries) if (entry.isDirectory()) await removeCgroup(path.join(directory, entry.name))
  await rmdir(directory).catch(() => undefined)
}
