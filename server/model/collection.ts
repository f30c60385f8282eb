/** All objects of one kind: parsed, indexed, with typed writes. */
import { randomUUID } from 'node:crypto'
import { isDroverError } from '../../kit/index.ts'
import type { ObjectKey, Space } from '../store/index.ts'
import { modelErrors } from './errors.ts'
import type { Identifiers } from './identifiers.ts'
import type { IndexName, KindDefinition } from './kinds.ts'
import type { ModelKind, ObjectOfKind } from './objects.ts'

/** Told about every change after the collection shows it; undefined stands for "not there". */
export type ChangeListener<T> = (object: T | undefined, previous: T | undefined) => void

/** What `create` fills in by itself. */
type Generated = 'id' | 'uuid' | 'created'

/** Thrown by an update's encoder when there is nothing to write; never leaves this file. */
const UNCHANGED = Symbol('unchanged')

export interface CollectionContext {
  readonly space: Space
  readonly identifiers: Identifiers
  /** Resolves when the collections show everything up to `revision`. */
  readonly reached: (revision: number) => Promise<void>
}

export class Collection<Kind extends ModelKind, T extends ObjectOfKind[Kind] = ObjectOfKind[Kind]> {
  readonly kind: Kind
  readonly #definition: KindDefinition<T>
  readonly #context: CollectionContext
  readonly #objects = new Map<string, T>()
  readonly #indexes = new Map<string, Map<string, Map<string, T>>>()
  readonly #listeners = new Set<ChangeListener<T>>()

  constructor(kind: Kind, definition: KindDefinition<T>, context: CollectionContext) {
    this.kind = kind
    this.#definition = definition
    this.#context = context
    for (const name of Object.keys(definition.indexes)) this.#indexes.set(name, new Map())
  }

  get size(): number {
    return this.#objects.size
  }

  get(id: string): T | undefined {
    return this.#objects.get(id)
  }

  /** @throws `NotFound` */
  require(id: string): T {
    const object = this.#objects.get(id)
    if (object === undefined) throw modelErrors.NotFound({ object: `${this.kind} ${id}` })
    return object
  }

  /** The ids of all objects. */
  identifiers(): readonly string[] {
    return [...this.#objects.keys()]
  }

  all(): IterableIterator<T> {
    return this.#objects.values()
  }

  /** The objects with `value` in an index, in order of creation. */
  where(index: IndexName<Kind>, value: string): readonly T[] {
    const found = this.#indexes.get(index)?.get(value)
    return found === undefined ? [] : [...found.values()]
  }

  /** The only or first object with `value` in an index. */
  find(index: IndexName<Kind>, value: string): T | undefined {
    return this.#indexes.get(index)?.get(value)?.values().next().value
  }

  /** Calls `listener` for every change from now on. The returned function ends that. */
  onChange(listener: ChangeListener<T>): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Stores a new object with a fresh id. A uuid may be given by the caller, e.g. when it came from a label. */
  async create(fields: Omit<T, Generated> & { uuid?: string }): Promise<T> {
    const number = await this.#context.identifiers.next()
    const object = {
      ...fields,
      id: `1${this.#definition.letters}${number}`,
      uuid: fields.uuid ?? randomUUID(),
      created: new Date().toISOString(),
    } as unknown as T
    const stored = await this.#context.space.create(this.#key(object), () => JSON.stringify(object))
    await this.#context.reached(stored.revision)
    return object
  }

  /**
   * Changes an object in one step: `change` sees its newest version, including writes that are still on their way to
   * the disk. Returning its argument unchanged writes nothing.
   *
   * @throws `NotFound`
   */
  async update(id: string, change: (current: T) => T): Promise<T> {
    const present = this.require(id)
    let result = present
    try {
      const stored = await this.#context.space.update(this.#key(present), (_revision, current) => {
        const newest = current === undefined ? present : (JSON.parse(current.json) as T)
        result = change(newest)
        if (result === newest) throw UNCHANGED
        return JSON.stringify(result)
      })
      await this.#context.reached(stored.revision)
    } catch (error) {
      if (error !== UNCHANGED) throw error
    }
    return result
  }

  /** Removes an object; one that is gone already is fine. */
  async delete(id: string): Promise<void> {
    const present = this.#objects.get(id)
    if (present === undefined) return
    try {
      const { revision } = await this.#context.space.delete(this.#key(present))
      await this.#context.reached(revision)
    } catch (error) {
      if (!isDroverError(error, 'NotFound')) throw error
    }
  }

  /** Takes in what the store says. Only the model calls it. */
  show(id: string, object: T | undefined): void {
    const previous = this.#objects.get(id)
    if (previous !== undefined) this.#unindex(previous)
    if (object === undefined) this.#objects.delete(id)
    else {
      this.#objects.set(id, object)
      this.#index(object)
    }
    if (object === undefined && previous === undefined) return
    for (const listener of this.#listeners) listener(object, previous)
  }

  #key(object: T): ObjectKey {
    return { kind: this.kind, namespace: this.#definition.scope(object), name: object.id }
  }

  #index(object: T): void {
    for (const [name, indexedValue] of Object.entries(this.#definition.indexes)) {
      const value = indexedValue(object)
      const index = this.#indexes.get(name)
      if (value === undefined || index === undefined) continue
      const bucket = index.get(value)
      if (bucket === undefined) index.set(value, new Map([[object.id, object]]))
      else bucket.set(object.id, object)
    }
  }

  #unindex(object: T): void {
    for (const [name, indexedValue] of Object.entries(this.#definition.indexes)) {
      const value = indexedValue(object)
      const index = this.#indexes.get(name)
      if (value === undefined || index === undefined) continue
      const bucket = index.get(value)
      bucket?.delete(object.id)
      if (bucket?.size === 0) index.delete(value)
    }
  }
}
