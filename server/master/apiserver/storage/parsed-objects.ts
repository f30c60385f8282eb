/** Parsed forms of stored objects, shared by everybody who looks inside the same version. */
import type { StoredObject } from '../../../store/index.ts'
import type { Frozen } from '../json.ts'
import type { KubernetesObject } from '../objects.ts'

/** Parsed objects are several times larger than their text, so only the recent ones are remembered. */
const REMEMBERED = 2048

export class ParsedObjects {
  readonly #recent = new Map<StoredObject, Frozen<KubernetesObject>>()

  /** The object of a stored version. Shared: not to be changed. */
  read(stored: StoredObject): Frozen<KubernetesObject> {
    const present = this.#recent.get(stored)
    if (present !== undefined) return present
    const object = parseStored(stored)
    if (this.#recent.size >= REMEMBERED) this.#forgetOldest()
    this.#recent.set(stored, object)
    return object
  }

  #forgetOldest(): void {
    for (const stored of this.#recent.keys()) {
      this.#recent.delete(stored)
      return
    }
  }
}

/** The object of a stored version, for a caller who changes it. */
export function parseStored(stored: StoredObject): KubernetesObject {
  return JSON.parse(stored.json)
}
