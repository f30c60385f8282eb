/**
 * What was made for every container, kept until it is deleted: CHECK and DEL need the configuration and the result
 * of the ADD, also after a restart of the runtime (specification, section 3, "Deleting an attachment").
 */
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import path from 'node:path'
import {
  isDroverError,
  type Logger,
  makePrivateDirectory,
  readJsonFile,
  removeFileDurably,
  removeInterruptedWrites,
  type Static,
  systemErrorCode,
  Type,
  validatorOf,
  writeFileDurably,
} from '../../kit/index.ts'
import { networkListSchema } from './network-configuration.ts'

const cachedAttachmentSchema = Type.Object({
  containerId: Type.String(),
  interfaceName: Type.String(),
  namespace: Type.String(),
  /** The list as it was at the time of the ADD: what has to be undone may not be in today's. */
  list: networkListSchema,
  capabilities: Type.Record(Type.String(), Type.Unknown()),
  /** CNI_ARGS. */
  arguments: Type.Optional(Type.String()),
  /** The last plugin's result, as it printed it. */
  result: Type.Unknown(),
})

export type CachedAttachment = Static<typeof cachedAttachmentSchema>

const cachedAttachment = validatorOf(cachedAttachmentSchema)

export class ResultCache {
  readonly #directory: string
  readonly #log: Logger
  #opened: Promise<unknown> | undefined

  constructor(directory: string, log: Logger) {
    this.#directory = directory
    this.#log = log
  }

  async write(entry: CachedAttachment): Promise<void> {
    await this.#open()
    await writeFileDurably(this.#file(entry.containerId, entry.interfaceName), JSON.stringify(entry))
  }

  /** @returns undefined when nothing is known, or what is known cannot be read */
  async read(containerId: string, interfaceName: string): Promise<CachedAttachment | undefined> {
    return await this.#readFile(this.#file(containerId, interfaceName))
  }

  async remove(containerId: string, interfaceName: string): Promise<void> {
    await removeFileDurably(this.#file(containerId, interfaceName))
  }

  async list(): Promise<CachedAttachment[]> {
    const names = await readdir(this.#directory).catch((error: unknown) => {
      if (systemErrorCode(error) === 'ENOENT') return []
      throw error
    })
    const entries: CachedAttachment[] = []
    for (const name of names.filter(name => name.endsWith('.json'))) {
      const entry = await this.#readFile(path.join(this.#directory, name))
      if (entry !== undefined) entries.push(entry)
    }
    return entries
  }

  /**
   * `list`, without waiting: for whoever must know at once what a process before this one has made. What cannot be read is
   * passed over.
   */
  listNow(): CachedAttachment[] {
    try {
      return readdirSync(this.#directory)
        .filter(name => name.endsWith('.json'))
        .flatMap(name => {
          try {
            const text = readFileSync(path.join(this.#directory, name), 'utf8')
            return [cachedAttachment.parse(JSON.parse(text), 'cached CNI result')]
          } catch {
            return []
          }
        })
    } catch (error) {
      if (systemErrorCode(error) === 'ENOENT') return []
      throw error
    }
  }

  /** Makes the directory ready to be written to, once. */
  #open(): Promise<unknown> {
    this.#opened ??= makePrivateDirectory(this.#directory).then(() =>
      removeInterruptedWrites(this.#directory),
    )
    return this.#opened
  }

  async #readFile(file: string): Promise<CachedAttachment | undefined> {
    try {
      return await readJsonFile(file, cachedAttachment)
    } catch (error) {
      if (!isDroverError(error, 'CorruptFile')) throw error
      // A DEL must not fail for it: the plugins clean up as far as they can without the result.
      this.#log.warn({ reason: error.explain() }, 'forgot a cached CNI result')
      return undefined
    }
  }

  /** Ids may be longer than a file's name; their hash is not. */
  #file(containerId: string, interfaceName: string): string {
    const hash = createHash('sha256').update(`${containerId}/${interfaceName}`).digest('hex')
    return path.join(this.#directory, `${hash.slice(0, 32)}.json`)
  }
}
