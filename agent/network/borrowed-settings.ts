/** Kernel settings of the host that were changed for a while, and what they were before. */
import { rm } from 'node:fs/promises'
import {
  isDroverError,
  type Logger,
  readJsonFile,
  type Static,
  Type,
  validatorOf,
  writeFileDurably,
} from '../../kit/index.ts'
import { readSysctl, setSysctl, setSysctlIfPresent } from '../../netplugins/bridge/index.ts'

const recordSchema = Type.Array(
  Type.Object({
    /** Below /proc/sys. */
    path: Type.String({ pattern: '^net/[a-z0-9_/]+$', maxLength: 128 }),
    before: Type.String({ maxLength: 64 }),
    /** What it was changed to. */
    ours: Type.String({ maxLength: 64 }),
  }),
)

type Borrowed = Static<typeof recordSchema>[number]

const recordValidator = validatorOf(recordSchema)

export class BorrowedSettings {
  readonly #file: string
  #borrowed: readonly Borrowed[]

  private constructor(file: string, borrowed: readonly Borrowed[]) {
    this.#file = file
    this.#borrowed = borrowed
  }

  /** Reads what an earlier process changed. @param file of the record */
  static async open(file: string, log: Logger): Promise<BorrowedSettings> {
    try {
      return new BorrowedSettings(file, (await readJsonFile(file, recordValidator)) ?? [])
    } catch (error) {
      if (!isDroverError(error, 'CorruptFile')) throw error
      log.warn(
        { reason: error.explain() },
        'does not know how kernel settings were, and leaves them as they are',
      )
      return new BorrowedSettings(file, [])
    }
  }

  /**
   * Changes a setting; what it was is on disk first. Again after the host was started again.
   *
   * @param path below /proc/sys
   * @returns false when there is no such setting
   * @throws `KernelRefused`
   */
  async change(path: string, ours: string): Promise<boolean> {
    const present = await readSysctl(path)
    if (present === undefined) return false
    if (present === ours) return true
    if (!this.#borrowed.some(entry => entry.path === path && entry.ours === ours)) {
      const earlier = this.#borrowed.find(entry => entry.path === path)
      const others = this.#borrowed.filter(entry => entry.path !== path)
      const before = earlier?.ours === present ? earlier.before : present
      const borrowed = [...others, { path, before, ours }]
      await writeFileDurably(this.#file, JSON.stringify(borrowed))
      this.#borrowed = borrowed
    }
    await setSysctl(path, ours)
    return true
  }

  /** Makes everything as it was, but for what somebody has decided otherwise since. @throws `KernelRefused` */
  async giveBack(): Promise<void> {
    for (const { path, before, ours } of this.#borrowed)
      if ((await readSysctl(path)) === ours) await setSysctlIfPresent(path, before)
    await rm(this.#file, { force: true })
    this.#borrowed = []
  }
}
