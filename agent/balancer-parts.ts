/** The load balancers of a host, wired to its containers, its metadata and its link. */
import { createHash } from 'node:crypto'
import { rm } from 'node:fs/promises'
import path from 'node:path'
import { Writable } from 'node:stream'
import { finished } from 'node:stream/promises'
import { atMost } from '../kit/index.ts'
import type { BalancerContainer } from './balancer/index.ts'
import type { DockerEngine } from './docker/index.ts'

/** A container's uuid and HAProxy's socket come behind it, and a socket's path has room for 107 bytes. */
const LONGEST_DIRECTORY = 33

/** Where the configurations of balancers are: with the agent's other files, unless the way there is too long. */
export function balancersDirectory(dataDirectory: string): string {
  const directory = path.join(dataDirectory, 'balancers')
  const fits = Buffer.byteLength(directory) <= LONGEST_DIRECTORY && /^\/[A-Za-z0-9/_.-]*$/.test(directory)
  if (fits) return directory
  return `/run/drover-lb-${createHash('sha256').update(directory).digest('hex').slice(0, 12)}`
}

/** Where certificates of balancers are kept. */
export function balancerCertificatesFile(dataDirectory: string): string {
  return path.join(dataDirectory, 'balancer-certificates.json')
}

/** Removes the files of balancers, whose containers are gone. */
export async function removeBalancers(dataDirectory: string): Promise<void> {
  await rm(balancersDirectory(dataDirectory), { recursive: true, force: true })
  await rm(balancerCertificatesFile(dataDirectory), { force: true })
}

/** Milliseconds that HAProxy may take to look at a configuration. */
const COMMAND_DEADLINE = 60_000

/** Bytes of what a command says that are kept. */
const KEPT_OUTPUT = 64 * 1024

/** Keeps the first bytes of what is written to it. */
class Collector extends Writable {
  readonly #limit: number
  readonly #chunks: Buffer[] = []
  #size = 0

  constructor(limit: number) {
    super()
    this.#limit = limit
  }

  override _write(chunk: Buffer, _: BufferEncoding, done: () => void): void {
    if (this.#size < this.#limit) this.#chunks.push(chunk)
    this.#size += chunk.length
    done()
  }

  get content(): Buffer {
    return Buffer.concat(this.#chunks).subarray(0, this.#limit)
  }

  /** Whether there was more. */
  get isFull(): boolean {
    return this.#size > this.#limit
  }
}

/** What is done to a balancer's container through Docker. */
export function balancerContainer(engine: DockerEngine, id: string): BalancerContainer {
  return {
    run: async command =>
      await atMost(
        COMMAND_DEADLINE,
        `${command[0]} in container ${id.slice(0, 12)}`,
        runInside(engine, id, command),
      ),
    readDirectory: async directory => {
      const command = ['/bin/busybox', 'tar', '-c', '-h', '-f', '-', '-C', directory, '.']
      const what = `${directory} of container ${id.slice(0, 12)}`
      return await atMost(COMMAND_DEADLINE, what, archiveOf(engine, id, command))
    },
    signalReload: async () => await engine.kill(id, 'SIGUSR2'),
  }
}

/** Bytes of a directory; more are not read. */
const LARGEST_ARCHIVE = 16 * 1024 * 1024

async function archiveOf(engine: DockerEngine, id: string, command: readonly string[]): Promise<Buffer> {
  const { stream, exitCode } = await engine.exec(id, command, { tty: false, stdin: false })
  const output = new Collector(LARGEST_ARCHIVE)
  const complaints = new Collector(KEPT_OUTPUT)
  engine.demultiplex(stream, output, complaints)
  await finished(stream, { writable: false })
  const code = await exitCode()
  if (code !== 0)
    throw new Error(complaints.content.toString('utf8').trim().slice(0, 300) || `exit code ${code}`)
  if (output.isFull) throw new Error(`is larger than ${LARGEST_ARCHIVE} bytes`)
  return output.content
}

async function runInside(
  engine: DockerEngine,
  id: string,
  command: readonly string[],
): Promise<{ exitCode: number; output: string }> {
  const { stream, exitCode } = await engine.exec(id, command, { tty: false, stdin: false })
  const output = new Collector(KEPT_OUTPUT)
  engine.demultiplex(stream, output, output)
  await finished(stream, { writable: false })
  return { exitCode: await exitCode(), output: output.content.toString('utf8') }
}
