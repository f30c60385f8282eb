/** Parsed forms of stored objects, shared by everybody who looks inside the same version. */
import type { StoredObject } from '../../../store/index.ts'
import type { Frozen } from '../json.ts'
import type { KubernetesObject } from '../objects.ts'

/** Parsed objects are several times larger than their text, so only the recent ones are remembered. */
const REMEMBERED = 2048
/** Characters of the texts of remembered objects. */
const REMEMBERED_LENGTH = 8 * 1024 * 1024

export class ParsedObjects {
  readonly #recent = new Map<StoredObject, Frozen<KubernetesObject>>()
  #length = 0

  /** The object of a stored version. Shared: not to be changed. */
  read(stored: StoredObject): Frozen<KubernetesObject> {
    const present = this.#recent.get(stored)
    if (present !== undefined) return present
    const object = parseStored(stored)
    this.#recent.set(stored, object)
    this.#length += stored.json.length
    this.#forgetOldest()
    return object
  }

  #forgetOldest(): void {
    for (const oldest of this.#recent.keys()) {
      if (this.#recent.size <= REMEMBERED && this.#length <= REMEMBERED_LENGTH) return
      this.#recent.delete(oldest)
      this.#length -= oldest.json.length
    }
  }
}

/** The object of a stored version, for a caller who changes it. */
export function parseStored(stored: StoredObject): KubernetesObject {
  return JSON.parse(stored.json)
}
