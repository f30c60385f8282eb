/** What the objects of one space will be when everything that was accepted is on disk. */
import type { ObjectKey, StoredObject } from './contract.ts'

export interface PendingVersion {
  readonly revision: number
  /** Undefined when the object will be deleted. */
  readonly object: StoredObject | undefined
  /** Resolves when this version is on disk, rejects when it will never be. */
  readonly settled: Promise<void>
}

/** Keys hold no control character. */
function mapKey({ kind, namespace, name }: ObjectKey): string {
  return `${kind}\n${namespace}\n${name}`
}

export class PendingVersions {
  readonly #versions = new Map<string, PendingVersion>()
  #newest: number

  /** @param revision the newest committed one */
  constructor(revision: number) {
    this.#newest = revision
  }

  get nextRevision(): number {
    return this.#newest + 1
  }

  get(key: ObjectKey): PendingVersion | undefined {
    return this.#versions.get(mapKey(key))
  }

  /** Accepts the version of the next revision. */
  add(key: ObjectKey, version: PendingVersion): void {
    this.#newest = version.revision
    this.#versions.set(mapKey(key), version)
  }

  /** The version of `revision` is committed; a newer pending one of the same object stays. */
  settle(key: ObjectKey, revision: number): void {
    const text = mapKey(key)
    if (this.#versions.get(text)?.revision === revision) this.#versions.delete(text)
  }

  /** Resolves when everything that is pending now is on disk, or will never be. */
  async settled(): Promise<void> {
    await Promise.allSettled([...this.#versions.values()].map(version => version.settled))
  }

  /** Forgets everything pending: the next revision follows the committed one again. */
  discard(committedRevision: number): void {
    this.#versions.clear()
    this.#newest = committedRevision
  }
}
