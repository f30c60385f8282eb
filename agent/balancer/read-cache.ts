/** Keeps what balancers read of the metadata until it changes: the metadata itself is packed, and reading it takes time. */
import type {
  IndexOf,
  InfoOf,
  InfoType,
  ModelReader,
  ObjectChange,
  ObjectSequence,
} from '../metadata/index.ts'

export class ReadCache implements ModelReader {
  readonly #model: ModelReader
  /** By type and index, then by key. */
  readonly #lists = new Map<string, Map<string, readonly unknown[]>>()
  readonly #objects = new Map<InfoType, Map<string, unknown>>()

  constructor(model: ModelReader) {
    this.#model = model
  }

  get<Type extends InfoType>(type: Type, uuid: string | undefined): InfoOf<Type> | undefined {
    if (uuid === undefined) return undefined
    const known = mapOf(this.#objects, type)
    if (!known.has(uuid)) known.set(uuid, this.#model.get(type, uuid))
    return known.get(uuid) as InfoOf<Type> | undefined
  }

  list<Type extends InfoType>(type: Type, index: IndexOf<Type>, key: string): readonly InfoOf<Type>[] {
    const known = mapOf(this.#lists, `${type} ${index}`)
    const present = known.get(key) as readonly InfoOf<Type>[] | undefined
    const list = present ?? this.#model.list(type, index, key)
    if (present === undefined) known.set(key, list)
    return list
  }

  sequence<Type extends InfoType>(
    type: Type,
    index: IndexOf<Type>,
    key: string,
  ): ObjectSequence<InfoOf<Type>> {
    return this.#model.sequence(type, index, key)
  }

  /** Forgets what is not true any more. Containers change all the time; of them only what is about the changed ones. */
  forget(changes: readonly ObjectChange[]): void {
    for (const { object, previous } of changes) {
      for (const each of [object, previous]) {
        if (each === undefined) continue
        this.#objects.get(each.infoType)?.delete(each.uuid)
        for (const [name, lists] of this.#lists) {
          if (!name.startsWith(`${each.infoType} `)) continue
          if (each.infoType === 'instance' && name === 'instance service')
            lists.delete(each.serviceUuid ?? '')
          else lists.clear()
        }
      }
    }
  }

  /** Forgets everything: nobody reads. */
  clear(): void {
    this.#lists.clear()
    this.#objects.clear()
  }
}

function mapOf<Key, Value>(maps: Map<Key, Map<string, Value>>, key: Key): Map<string, Value> {
  const present = maps.get(key)
  if (present !== undefined) return present
  const made = new Map<string, Value>()
  maps.set(key, made)
  return made
}
