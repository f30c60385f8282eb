/**
 * Which images this agent has brought to the host, on disk. A host belongs to its user: only what is recorded here may ever be
 * removed, and never what was there before, was made here, or has become something else since.
 */
import {
  explainError,
  type Logger,
  readJsonFile,
  type Static,
  Type,
  validatorOf,
  writeFileDurably,
} from '../../kit/index.ts'

const record = Type.Object({
  /** As it was pulled; the image's own id when its name has passed on to another one. */
  reference: Type.String({ maxLength: 1_024 }),
  /** Docker's id. */
  id: Type.String({ maxLength: 128 }),
  /** Unix milliseconds. */
  pulledAt: Type.Number(),
  usedAt: Type.Number(),
})

const validator = validatorOf(Type.Array(record, { maxItems: 10_000 }))

export type ImageRecord = Readonly<Static<typeof record>>

/** Images that are remembered; the longest unused are forgotten beyond, and then they stay on the host. */
const LIMIT = 5_000

export class ImageRecords {
  readonly #file: string
  readonly #log: Logger
  readonly #records = new Map<string, ImageRecord>()
  #writing: Promise<void> = Promise.resolve()

  constructor(file: string, log: Logger) {
    this.#file = file
    this.#log = log
  }

  /** Reads what was kept. Without it no image is removed that was pulled before. */
  async load(): Promise<void> {
    try {
      for (const each of (await readJsonFile(this.#file, validator)) ?? [])
        this.#records.set(each.reference, each)
    } catch (error) {
      this.#log.error({ err: error }, `which images were pulled is not known: ${explainError(error)}`)
    }
  }

  all(): readonly ImageRecord[] {
    return [...this.#records.values()]
  }

  /**
   * An image was pulled.
   *
   * @param before Docker's id of what had that name; undefined when nothing had
   * @param now Unix milliseconds
   */
  async pulled(reference: string, before: string | undefined, id: string, now: number): Promise<void> {
    const known = this.#records.get(reference)
    // Somebody else brought it, and it stays theirs.
    if (before !== undefined && known?.id !== before) return
    if (known?.id === id) return await this.used([reference], now)
    // What had the name has none now, and nobody else will ever remove it.
    if (known !== undefined) this.#records.set(known.id, { ...known, reference: known.id })
    this.#records.set(reference, { reference, id, pulledAt: now, usedAt: now })
    await this.#write()
  }

  /** @param now Unix milliseconds */
  async used(references: Iterable<string>, now: number): Promise<void> {
    let changed = false
    for (const reference of references) {
      const known = this.#records.get(reference)
      if (known === undefined) continue
      this.#records.set(reference, { ...known, usedAt: now })
      changed = true
    }
    if (changed) await this.#write()
  }

  async forget(reference: string): Promise<void> {
    if (this.#records.delete(reference)) await this.#write()
  }

  #write(): Promise<void> {
    const oldest = [...this.#records.values()].toSorted((a, b) => a.usedAt - b.usedAt)
    for (const { reference } of oldest.slice(0, Math.max(0, oldest.length - LIMIT)))
      this.#records.delete(reference)
    // In the order of changes; a write that failed is made good by the next one.
    const write = this.#writing
      .catch(() => undefined)
      .then(() => writeFileDurably(this.#file, JSON.stringify(this.all())))
    this.#writing = write
    return write
  }
}
