/** The current objects of one space, by kind, namespace and name. */
import type { ObjectKey, StoredObject } from './contract.ts'

function byCodeUnit(a: string, b: string): number {
  if (a === b) return 0
  return a < b ? -1 : 1
}

/**
 * Merges the elements that were added since into what was sorted, so that a list after a few inserts costs one pass
 * and not a sort of everything.
 */
function mergeSorted(
  sorted: readonly string[],
  added: readonly string[],
  isPresent: (name: string) => boolean,
) {
  const merged: string[] = []
  const incoming = [...new Set(added)].filter(isPresent).sort(byCodeUnit)
  let next = 0
  for (const name of sorted) {
    for (
      let candidate = incoming[next];
      candidate !== undefined && candidate <= name;
      candidate = incoming[next]
    ) {
      if (candidate !== name) merged.push(candidate)
      next += 1
    }
    if (isPresent(name)) merged.push(name)
  }
  for (; next < incoming.length; next += 1) merged.push(incoming[next] as string)
  return merged
}

/** How many added keys may wait beyond the number of present ones: keys that come and go unlisted must not pile up. */
const ADDED_SLACK = 1_000

/** A map that also knows the order of its keys, worked out when it is asked for and something has changed. */
class SortedMap<Value> {
  readonly #values = new Map<string, Value>()
  #order: readonly string[] = []
  #added: string[] = []
  #changed = false

  get size(): number {
    return this.#values.size
  }

  get(key: string): Value | undefined {
    return this.#values.get(key)
  }

  set(key: string, value: Value): void {
    const before = this.#values.size
    this.#values.set(key, value)
    if (this.#values.size === before) return
    this.#added.push(key)
    this.#changed = true
    if (this.#added.length > this.#values.size + ADDED_SLACK) this.#sort()
  }

  delete(key: string): void {
    if (this.#values.delete(key)) this.#changed = true
  }

  /** In ascending order of the keys. */
  sorted(): Value[] {
    if (this.#changed) this.#sort()
    const values: Value[] = []
    for (const key of this.#order) {
      const value = this.#values.get(key)
      if (value !== undefined) values.push(value)
    }
    return values
  }

  #sort(): void {
    this.#order = mergeSorted(this.#order, this.#added, key => this.#values.has(key))
    this.#added = []
    this.#changed = false
  }
}

/** Objects of one kind in one namespace. */
class NamespaceObjects {
  readonly namespace: string
  readonly objects = new SortedMap<StoredObject>()
  #snapshot: readonly StoredObject[] | undefined

  constructor(namespace: string) {
    this.namespace = namespace
  }

  put(object: StoredObject): void {
    this.objects.set(object.key.name, object)
    this.#snapshot = undefined
  }

  remove(name: string): void {
    this.objects.delete(name)
    this.#snapshot = undefined
  }

  /** The same array until something changes; nobody writes to it. */
  list(): readonly StoredObject[] {
    this.#snapshot ??= this.objects.sorted()
    return this.#snapshot
  }
}

/** Objects of one kind. */
class KindObjects {
  readonly kind: string
  readonly namespaces = new SortedMap<NamespaceObjects>()
  count = 0

  constructor(kind: string) {
    this.kind = kind
  }
}

const NOTHING: readonly StoredObject[] = []

export class ObjectIndex {
  readonly #kinds = new Map<string, KindObjects>()
  #size = 0
  #length = 0

  /** How many objects there are. */
  get size(): number {
    return this.#size
  }

  /** Of the JSON of all of them, in UTF-16 code units. */
  get length(): number {
    return this.#length
  }

  get({ kind, namespace, name }: ObjectKey): StoredObject | undefined {
    return this.#kinds.get(kind)?.namespaces.get(namespace)?.objects.get(name)
  }

  /**
   * A key of its own for an object to be kept: its kind and namespace are the same strings as those of its
   * neighbours, and it holds on to nothing of the caller's.
   */
  ownKey({ kind, namespace, name }: ObjectKey): ObjectKey {
    const ofKind = this.#kinds.get(kind)
    return {
      kind: ofKind?.kind ?? kind,
      namespace: ofKind?.namespaces.get(namespace)?.namespace ?? namespace,
      name,
    }
  }

  put(object: StoredObject): void {
    const { kind, namespace, name } = object.key
    let ofKind = this.#kinds.get(kind)
    if (ofKind === undefined) {
      ofKind = new KindObjects(kind)
      this.#kinds.set(kind, ofKind)
    }
    let ofNamespace = ofKind.namespaces.get(namespace)
    if (ofNamespace === undefined) {
      ofNamespace = new NamespaceObjects(namespace)
      ofKind.namespaces.set(namespace, ofNamespace)
    }
    const before = ofNamespace.objects.get(name)
    if (before === undefined) {
      ofKind.count += 1
      this.#size += 1
    }
    this.#length += object.json.length - (before?.json.length ?? 0)
    ofNamespace.put(object)
  }

  remove({ kind, namespace, name }: ObjectKey): void {
    const ofKind = this.#kinds.get(kind)
    const ofNamespace = ofKind?.namespaces.get(namespace)
    const before = ofNamespace?.objects.get(name)
    if (ofKind === undefined || ofNamespace === undefined || before === undefined) return
    ofKind.count -= 1
    this.#size -= 1
    this.#length -= before.json.length
    ofNamespace.remove(name)
    if (ofNamespace.objects.size === 0) ofKind.namespaces.delete(namespace)
    if (ofKind.count === 0) this.#kinds.delete(kind)
  }

  /** In ascending order of namespace, then name. */
  list(kind: string, namespace?: string): readonly StoredObject[] {
    const namespaces = this.#kinds.get(kind)?.namespaces
    if (namespaces === undefined) return NOTHING
    if (namespace !== undefined) return namespaces.get(namespace)?.list() ?? NOTHING
    const lists = namespaces.sorted().map(ofNamespace => ofNamespace.list())
    return lists.length === 1 ? (lists[0] ?? NOTHING) : lists.flat()
  }

  count(kind: string): number {
    return this.#kinds.get(kind)?.count ?? 0
  }
}
