/** Removes images that this agent pulled and nobody has used for long, when the file system of images fills up. */
import {
  type Clock,
  type Daemon,
  explainError,
  type Logger,
  ReconcileLoop,
  type ReconcileResult,
  systemClock,
} from '../../kit/index.ts'
import type { ImageRecord, ImageRecords } from './image-records.ts'
import { formatBytes } from './messages.ts'
import type { PressureSettings } from './settings.ts'
import type { Observation } from './signals.ts'

/** What Docker says of an image. */
export interface ImageFacts {
  readonly id: string
  /** Its names; none for one whose names have passed on to others. */
  readonly names: readonly string[]
}

export interface ImageCollectorOptions {
  readonly settings: Pick<PressureSettings, 'imagesHigh' | 'imagesLow' | 'imageAge'>
  /** Of the file system of images. */
  readonly space: () => Promise<Observation>
  readonly records: Pick<ImageRecords, 'all' | 'used' | 'forget'>
  readonly engine: {
    imageFacts(reference: string): Promise<ImageFacts | undefined>
    /** Takes a name off an image, which goes with its last one. @throws when something needs it */
    removeImage(reference: string): Promise<void>
  }
  /** Ids of the images of all containers of the host, whoever made them, running or not. */
  readonly inUse: () => ReadonlySet<string>
  readonly onHappening: (reason: string, message: string) => void
  readonly log: Logger
  readonly clock?: Clock
}

/** Milliseconds between two looks. */
const INTERVAL = 300_000

export type ImageVerdict = 'remove' | 'keep' | 'used' | 'forget'

/**
 * What becomes of an image that was pulled here. Pure.
 *
 * @param facts what has its name now; undefined when nothing has
 * @param known names that this agent pulled
 * @param age milliseconds for which it stays at least
 */
export function judgeImage(
  record: ImageRecord,
  facts: ImageFacts | undefined,
  inUse: ReadonlySet<string>,
  known: ReadonlySet<string>,
  now: number,
  age: number,
): ImageVerdict {
  // It is gone, or its name is somebody else's now.
  if (facts === undefined || facts.id !== record.id) return 'forget'
  if (inUse.has(facts.id)) return 'used'
  // Somebody gave it a name of their own.
  if (facts.names.some(name => !known.has(name))) return 'keep'
  return now - record.pulledAt < age ? 'keep' : 'remove'
}

/** `web` is `web:latest` to Docker. */
export function fullReference(reference: string): string {
  return /[:@][^/]*$/.test(reference) ? reference : `${reference}:latest`
}

export class ImageCollector implements Daemon {
  readonly name = 'image collector'
  readonly #options: ImageCollectorOptions
  readonly #clock: Clock
  readonly #loop: ReconcileLoop<'images'>

  constructor(options: ImageCollectorOptions) {
    this.#options = options
    this.#clock = options.clock ?? systemClock
    this.#loop = new ReconcileLoop<'images'>({
      name: 'images',
      log: options.log,
      concurrency: 1,
      deadline: 600_000,
      clock: this.#clock,
      reconcile: () => this.look(),
    })
  }

  start(): Promise<void> {
    this.#loop.kick('images')
    this.#loop.start()
    return Promise.resolve()
  }

  async stop(): Promise<void> {
    await this.#loop.stop()
  }

  /** Removes images while there is too little space for more, the longest unused ones first. */
  async look(): Promise<ReconcileResult> {
    const { settings, space, onHappening } = this.#options
    const candidates = await this.#candidates()
    const before = await space()
    if (usedPart(before) >= settings.imagesHigh) {
      const after = await this.#remove(candidates, part => part <= settings.imagesLow)
      if (usedPart(after) > settings.imagesLow) {
        const wanted = before.capacity * (usedPart(before) - settings.imagesLow)
        const freed = Math.max(0, after.available - before.available)
        const message = `Failed to garbage collect required amount of images. Attempted to free ${formatBytes(wanted)}, but only found ${formatBytes(freed)} eligible to free.`
        onHappening('ImageGCFailed', message)
      }
    }
    return { requeueAfter: INTERVAL }
  }

  /** Removes all that nobody uses. */
  async removeUnused(): Promise<void> {
    await this.#remove(await this.#candidates(), () => false)
  }

  async #candidates(): Promise<readonly ImageRecord[]> {
    const { records, engine, inUse, settings } = this.#options
    const all = records.all()
    const known = new Set(all.map(({ reference }) => fullReference(reference)))
    const used: string[] = []
    const candidates: ImageRecord[] = []
    for (const record of all) {
      const facts = await engine.imageFacts(record.reference)
      const now = this.#clock.now()
      switch (judgeImage(record, facts, inUse(), known, now, settings.imageAge)) {
        case 'forget':
          await records.forget(record.reference)
          break
        case 'used':
          used.push(record.reference)
          break
        case 'remove':
          candidates.push(record)
          break
        case 'keep':
      }
    }
    await records.used(used, this.#clock.now())
    return candidates.toSorted((a, b) => a.usedAt - b.usedAt || a.pulledAt - b.pulledAt)
  }

  /** @returns the space that there is afterwards */
  async #remove(candidates: readonly ImageRecord[], enough: (part: number) => boolean): Promise<Observation> {
    const { records, engine, inUse, space, log } = this.#options
    let now = await space()
    for (const { reference, id } of candidates) {
      if (enough(usedPart(now))) break
      if (inUse().has(id)) continue
      try {
        await engine.removeImage(reference)
        await records.forget(reference)
        log.info({ image: reference }, 'an image that nobody used was removed')
      } catch (error) {
        // Whatever needs it, Docker knows it better.
        log.debug({ image: reference, reason: explainError(error) }, 'an image was not removed')
      }
      now = await space()
    }
    return now
  }
}

function usedPart({ available, capacity }: Observation): number {
  return capacity === 0 ? 0 : 1 - available / capacity
}
