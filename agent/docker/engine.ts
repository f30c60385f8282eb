/** The Docker engine of this host: the calls that the agent makes, with errors that say what failed. */
import { stat } from 'node:fs/promises'
import type { Duplex, Readable } from 'node:stream'
import { type ContainerCreateOptions, Docker } from '#dockerode'
import { systemErrorCode, withDeadline } from '../../kit/index.ts'
import { type ContainerDetails, readDetails } from './container-details.ts'
import { type ContainerUsage, readUsage } from './container-usage.ts'
import { dockerErrors } from './errors.ts'

/** Milliseconds for calls that only look or change little. */
const CALL_DEADLINE = 30_000
/** Milliseconds for pulling one image. */
const PULL_DEADLINE = 15 * 60_000

export interface EngineFacts {
  readonly version: string
  readonly operatingSystem: string
  readonly kernelVersion: string
  /** Bytes. */
  readonly memory: number
  readonly cpus: number
  readonly rootDirectory: string
  /** `cgroupfs` or `systemd`. */
  readonly cgroupDriver: string
  /** `1` or `2`. */
  readonly cgroupVersion: string
}

export interface LogOptions {
  readonly follow: boolean
  /** How many lines from the end; all when absent. */
  readonly tail?: number
  /** Unix seconds. */
  readonly since?: number
  readonly timestamps: boolean
}

/** Who somebody is to a registry. */
export interface RegistryLogin {
  readonly username: string
  readonly password: string
  readonly serveraddress: string
  readonly identitytoken?: string
}

/** The HTTP status of an answer of Docker's that is an error. */
function statusOf(error: unknown): number | undefined {
  if (error instanceof Error && 'statusCode' in error && typeof error.statusCode === 'number') {
    return error.statusCode
  }
  return undefined
}

function reasonOf(error: unknown): string {
  const json = error instanceof Error && 'json' in error ? (error.json as { message?: string } | null) : null
  return json?.message ?? (error instanceof Error ? error.message : String(error))
}

export class DockerEngine {
  readonly socketPath: string
  readonly #docker: Docker

  constructor(socketPath: string) {
    this.socketPath = socketPath
    this.#docker = new Docker({ socketPath })
  }

  /** @throws `DockerUnreachable` */
  async facts(): Promise<EngineFacts> {
    const info = await this.#call('engine', () => this.#docker.info())
    return {
      version: info.ServerVersion,
      operatingSystem: info.OperatingSystem,
      kernelVersion: info.KernelVersion,
      memory: info.MemTotal,
      cpus: info.NCPU,
      rootDirectory: info.DockerRootDir,
      cgroupDriver: info.CgroupDriver,
      cgroupVersion: info.CgroupVersion ?? '1',
    }
  }

  /** Ids of all containers, running or not. */
  async listContainers(): Promise<string[]> {
    const containers = await this.#call('containers', () => this.#docker.listContainers({ all: true }))
    return containers.map(({ Id }) => Id)
  }

  /** @returns undefined when there is no such container */
  async inspect(id: string): Promise<ContainerDetails | undefined> {
    return await this.#unlessMissing(async () =>
      readDetails(await this.#call(`container ${id}`, () => this.#docker.getContainer(id).inspect())),
    )
  }

  /** Makes a container and returns its id. */
  async create(options: ContainerCreateOptions): Promise<string> {
    const container = await this.#call(`container ${options.name}`, () =>
      this.#docker.createContainer(options),
    )
    return container.id
  }

  /** Starts a container; one that runs already is fine. */
  async start(id: string): Promise<void> {
    await this.#unlessStatus(304, () =>
      this.#call(`container ${id}`, () => this.#docker.getContainer(id).start()),
    )
  }

  /** Changes what a container may use, while it runs. @throws `DockerRefused`, for example when it uses more already */
  async updateResources(
    id: string,
    resources: { Memory?: number; MemorySwap?: number; NanoCpus?: number; CpuShares?: number },
  ): Promise<void> {
    await this.#call(`container ${id}`, () => this.#docker.getContainer(id).update(resources))
  }

  /** Sends a signal; a container that is gone or does not run is fine. */
  async kill(id: string, signal: 'SIGTERM' | 'SIGKILL' | 'SIGUSR2'): Promise<void> {
    await this.#unlessMissing(() =>
      this.#unlessStatus(409, () =>
        this.#call(`container ${id}`, () => this.#docker.getContainer(id).kill({ signal })),
      ),
    )
  }

  /** Ends and removes a container with its anonymous volumes; one that is gone is fine. */
  async remove(id: string): Promise<void> {
    await this.#unlessMissing(() =>
      // 409: its removal is under way already.
      this.#unlessStatus(409, () =>
        this.#call(`container ${id}`, () => this.#docker.getContainer(id).remove({ force: true, v: true })),
      ),
    )
  }

  /** Bytes that a container takes on disk beside its image: what it wrote, and its log. 0 when it is gone. */
  async diskUsage(id: string): Promise<number> {
    const options: { size: boolean; abortSignal?: AbortSignal } = { size: true }
    const info = await this.#unlessMissing(() =>
      this.#call(`container ${id}`, () => this.#docker.getContainer(id).inspect(options)),
    )
    if (info === undefined) return 0
    const { SizeRw = 0, LogPath = '' } = info as { SizeRw?: number; LogPath?: string }
    const log = LogPath === '' ? undefined : await stat(LogPath).catch(() => undefined)
    return SizeRw + (log?.size ?? 0)
  }

  async hasImage(name: string): Promise<boolean> {
    const image = await this.#unlessMissing(() =>
      this.#call(`image ${name}`, () => this.#docker.getImage(name).inspect()),
    )
    return image !== undefined
  }

  /** Id and names of an image; undefined when there is none of that name. */
  async imageFacts(reference: string): Promise<{ id: string; names: readonly string[] } | undefined> {
    const image = await this.#unlessMissing(() =>
      this.#call(`image ${reference}`, () => this.#docker.getImage(reference).inspect()),
    )
    return image === undefined ? undefined : { id: image.Id, names: image.RepoTags ?? [] }
  }

  /** All images: names with tags and digests, and bytes. */
  async images(): Promise<{ names: readonly string[]; size: number }[]> {
    const images = await this.#call('images', () => this.#docker.listImages())
    return images.map(({ RepoTags, RepoDigests, Size }) => ({
      names: [...(RepoTags ?? []), ...(RepoDigests ?? [])],
      size: Size,
    }))
  }

  /**
   * Takes a name off an image, and removes the image with its last one. One that is gone is fine.
   *
   * @throws `DockerRefused` when something needs it
   */
  async removeImage(reference: string): Promise<void> {
    await this.#unlessMissing(() =>
      this.#call(`image ${reference}`, () => this.#docker.getImage(reference).remove({ force: false })),
    )
  }

  /** The user that an image names; empty for root. @throws `DockerRefused` when there is no such image */
  async imageUser(name: string): Promise<string> {
    const image = await this.#call(`image ${name}`, () => this.#docker.getImage(name).inspect())
    return image.Config?.User ?? ''
  }

  /**
   * Pulls an image.
   *
   * @param login who wants it; nobody in particular when absent
   * @throws `ImageUnavailable` with the reason of Docker or the registry
   */
  async pull(name: string, login?: RegistryLogin): Promise<void> {
    // Without a tag Docker would pull every tag of the repository.
    const reference = /[:@][^/]*$/.test(name) ? name : `${name}:latest`
    try {
      await withDeadline(PULL_DEADLINE, `pull of ${name}`, async signal => {
        const progress = await this.#docker.pull(reference, login === undefined ? {} : { authconfig: login })
        // Docker ends a pull of which nobody wants to hear any more.
        const end = () => (progress as Readable).destroy()
        if (signal.aborted) end()
        else signal.addEventListener('abort', end, { once: true })
        await new Promise<void>((resolve, reject) => {
          this.#docker.modem.followProgress(progress, (error: Error | null) =>
            error ? reject(error) : resolve(),
          )
        })
      })
    } catch (cause) {
      throw dockerErrors.ImageUnavailable({
        object: `image ${name}`,
        message: `cannot be pulled: ${reasonOf(cause)}`,
        cause,
      })
    }
  }

  /** Makes an image from a tar archive of a file system; `changes` are lines of a Dockerfile. */
  async importImage(archive: Readable, name: string, changes: readonly string[]): Promise<void> {
    const colon = name.lastIndexOf(':')
    const output = await this.#dial(`image ${name}`, {
      path: '/images/create?',
      method: 'POST',
      file: archive,
      options: {
        fromSrc: '-',
        repo: name.slice(0, colon),
        tag: name.slice(colon + 1),
        changes: [...changes],
      },
    })
    await new Promise<void>((resolve, reject) => {
      this.#docker.modem.followProgress(output as never, (error: Error | null) =>
        error ? reject(error) : resolve(),
      )
    })
  }

  /**
   * Docker's events about containers, one JSON object per line, until the stream ends or is destroyed.
   *
   * @param actions the kinds of events wanted
   */
  async events(actions: readonly string[]): Promise<Readable> {
    return (await this.#call('events', () =>
      this.#docker.getEvents({ filters: { type: ['container'], event: [...actions] } }),
    )) as Readable
  }

  /** What a container uses; undefined when it is not there, or does not run. */
  async usage(id: string): Promise<ContainerUsage | undefined> {
    return await this.#unlessMissing(async () => {
      const query = { stream: false, 'one-shot': true } as const
      const stats = await this.#call(`container ${id}`, () => this.#docker.getContainer(id).stats(query))
      return readUsage(stats)
    })
  }

  /** A container's log as Docker sends it: plain bytes for a terminal, else multiplexed. */
  async logs(id: string, options: LogOptions): Promise<Readable> {
    const { follow, tail, since, timestamps } = options
    // dockerode reads a log that is not followed into memory as a whole; a log has no size limit.
    return await this.#dial(`log of container ${id}`, {
      path: `/containers/${id}/logs?`,
      method: 'GET',
      options: {
        stdout: true,
        stderr: true,
        follow,
        timestamps,
        ...(tail === undefined ? {} : { tail }),
        ...(since === undefined ? {} : { since }),
      },
    })
  }

  /** Starts a command inside a container; the stream is its input and output. */
  async exec(
    id: string,
    command: readonly string[],
    options: { readonly tty: boolean; readonly stdin: boolean },
  ): Promise<{
    stream: Duplex
    resize: (columns: number, rows: number) => Promise<void>
    exitCode: () => Promise<number>
    isRunning: () => Promise<boolean>
  }> {
    const exec = await this.#call(`container ${id}`, () =>
      this.#docker.getContainer(id).exec({
        Cmd: [...command],
        AttachStdin: options.stdin,
        AttachStdout: true,
        AttachStderr: true,
        Tty: options.tty,
      }),
    )
    const stream = await this.#call(`command ${command[0]}`, () =>
      exec.start({ hijack: true, stdin: options.stdin, Tty: options.tty }),
    )
    return {
      stream,
      resize: async (columns, rows) => {
        await exec.resize({ w: columns, h: rows })
      },
      exitCode: async () => (await exec.inspect()).ExitCode ?? 0,
      isRunning: async () => (await exec.inspect()).Running,
    }
  }

  /** Connects to the streams of a container's own process. */
  async attach(
    id: string,
    options: { readonly stdin: boolean; readonly stdout: boolean; readonly stderr: boolean },
  ): Promise<{ stream: Duplex; resize: (columns: number, rows: number) => Promise<void> }> {
    const container = this.#docker.getContainer(id)
    const stream = await this.#call(`container ${id}`, () =>
      container.attach({ stream: true, hijack: true, ...options }),
    )
    return {
      stream: stream as unknown as Duplex,
      resize: async (columns, rows) => {
        await container.resize({ w: columns, h: rows })
      },
    }
  }

  /** Splits a multiplexed stream of Docker's into one of plain bytes, in order of arrival. */
  demultiplex(
    source: NodeJS.ReadableStream,
    stdout: NodeJS.WritableStream,
    stderr: NodeJS.WritableStream,
  ): void {
    this.#docker.modem.demuxStream(source as never, stdout, stderr)
  }

  /** A call of the engine's API whose answer is a stream. */
  async #dial(object: string, options: Record<string, unknown>): Promise<Readable> {
    return await this.#call(
      object,
      () =>
        new Promise<Readable>((resolve, reject) => {
          this.#docker.modem.dial(
            { ...options, isStream: true, statusCodes: { 200: true } } as never,
            (error: Error | null, answer: unknown) =>
              error === null ? resolve(answer as Readable) : reject(error),
          )
        }),
    )
  }

  async #call<T>(object: string, work: () => Promise<T>): Promise<T> {
    try {
      return await withDeadline(CALL_DEADLINE, `Docker ${object}`, work)
    } catch (cause) {
      const code = systemErrorCode(cause)
      if (code === 'ENOENT' || code === 'ECONNREFUSED' || code === 'EACCES' || code === 'ECONNRESET') {
        throw dockerErrors.DockerUnreachable({ object: `Docker at ${this.socketPath}`, cause })
      }
      const status = statusOf(cause)
      if (status === undefined) throw cause
      throw dockerErrors.DockerRefused({ object, message: reasonOf(cause), status, cause })
    }
  }

  async #unlessMissing<T>(work: () => Promise<T>): Promise<T | undefined> {
    return await this.#unlessStatus(404, work)
  }

  /** Takes one status for an answer instead of an error. */
  async #unlessStatus<T>(status: number, work: () => Promise<T>): Promise<T | undefined> {
    try {
      return await work()
    } catch (error) {
      if (statusOf(error instanceof Error ? error.cause : undefined) === status) return undefined
      throw error
    }
  }
}
