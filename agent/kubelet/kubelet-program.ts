/** The program `kubelet` of this host, and of which version it is: older ones are told in other ways. */
import { access, constants, stat } from 'node:fs/promises'
import path from 'node:path'
import { isDroverError, type Logger, runCommand } from '../../kit/index.ts'
import { kubeletErrors } from './errors.ts'

const PROGRAM = 'kubelet'
const PROGRAM_DIRECTORIES = ['/usr/local/bin', '/usr/bin', '/opt/bin', '/usr/local/sbin', '/usr/sbin']

/** Milliseconds in which it says its version. */
const VERSION_DEADLINE = 10_000

export interface KubeletProgram {
  readonly file: string
  /** 20 of Kubernetes 1.20; undefined where it does not say, as programs of the future may not. */
  readonly minor: number | undefined
}

/** The first of the files that can be used so. */
export async function firstUsable(files: readonly string[], mode: number): Promise<string | undefined> {
  for (const file of files) {
    const usable = await access(file, mode).then(
      () => true,
      () => false,
    )
    if (usable) return file
  }
  return undefined
}

/** From what `kubelet --version` prints: `Kubernetes v1.20.2`. */
export function minorVersion(text: string): number | undefined {
  const [, minor] = /^Kubernetes v1\.(\d{1,4})\./.exec(text) ?? []
  return minor === undefined ? undefined : Number(minor)
}

export class KubeletProgramFinder {
  readonly #files: readonly string[]
  readonly #log: Logger
  /** As it was asked last, and what it said. */
  #asked: { readonly identity: string; readonly minor: number | undefined } | undefined

  constructor(log: Logger, directories: readonly string[] = PROGRAM_DIRECTORIES) {
    this.#files = directories.map(directory => path.join(directory, PROGRAM))
    this.#log = log
  }

  /** @throws `KubeletMissing` */
  async find(): Promise<KubeletProgram> {
    const file = await firstUsable(this.#files, constants.X_OK)
    if (file === undefined) {
      throw kubeletErrors.KubeletMissing({ object: PROGRAM, expected: `one of ${this.#files.join(', ')}` })
    }
    const { ino, size, mtimeMs } = await stat(file)
    const identity = [file, ino, size, mtimeMs].join(' ')
    if (this.#asked?.identity !== identity) this.#asked = { identity, minor: await this.#minorOf(file) }
    return { file, minor: this.#asked.minor }
  }

  async #minorOf(file: string): Promise<number | undefined> {
    try {
      return minorVersion((await runCommand(file, ['--version'], { deadline: VERSION_DEADLINE })).stdout)
    } catch (error) {
      if (!isDroverError(error)) throw error
      // What ails it is said when it is started.
      this.#log.warn({ err: error }, 'the kubelet does not say its version; it is taken for a new one')
      return undefined
    }
  }
}
