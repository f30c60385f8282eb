/**
 * The metadata of the cluster in memory: objects by uuid, and in the groups that are asked for.
 *
 * A cluster has tens of thousands of objects, of which a host asks for few: they are kept as records (`store/`), and made
 * when they are asked for.
 */
import { isDeepStrictEqual } from 'node:util'
import type { MetadataObject } from '../../../protocol/index.ts'
import { type IndexOf, type InfoOf, type InfoType, indexes } from './indexes.ts'
import { ModelSnapshot } from './model-snapshot.ts'
import { type ObjectSequence, StoredSequence } from './object-sequence.ts'
import { KeyTable, ObjectStore } from './store/index.ts'

/** One object before and after; the one is absent when it is new, the other when it is gone. */
export interface ObjectChange {
  readonly previous: MetadataObject | undefined
  readonly object: MetadataObject | undefined
}

/** The newest version that there is of what changed. */
export function changedObject({ object, previous }: ObjectChange): MetadataObject {
  return (object ?? previous) as MetadataObject
}

/** Told about changes after the model shows all of them. */
export type ModelListener = (changes: readonly ObjectChange[]) => void

/** What can be asked of the model. Objects that it gives are not to be changed. */
export interface ModelReader {
  get<Type extends InfoType>(type: Type, uuid: string | undefined): InfoOf<Type> | undefined
  /** The objects with `key` in an index, in order of creation: for few. */
  list<Type extends InfoType>(type: Type, index: IndexOf<Type>, key: string): readonly InfoOf<Type>[]
  /** The same for many. Do not keep it: it changes with the model. */
  sequence<Type extends InfoType>(type: Type, index: IndexOf<Type>, key: string): ObjectSequence<InfoOf<Type>>
}

/** Objects that are to be all that there are, as they come: what did not come in the end is gone. */
export interface Replacement {
  take(objects: readonly MetadataObject[]): void
  end(): void
}

type KeyFunction = (object: MetadataObject) => string | undefined

interface Index {
  readonly name: string
  readonly keyOf: KeyFunction
  readonly table: KeyTable
}

const NO_INDEXES: readonly Index[] = []

export class MetadataModel implements ModelReader {
  readonly #store = new ObjectStore()
  readonly #indexes = new Map<InfoType, readonly Index[]>()
  readonly #listeners = new Set<ModelListener>()
  readonly #snapshots = new Set<ModelSnapshot>()

  constructor() {
    for (const [type, definitions] of Object.entries(indexes) as [InfoType, Record<string, KeyFunction>][]) {
      const ofType = Object.entries(definitions).map(([name, keyOf]) => ({
        name,
        keyOf,
        table: new KeyTable(this.#store, (slot, key) => keyOf(this.#store.get(slot)) === key),
      }))
      this.#indexes.set(type, ofType)
    }
  }

  get size(): number {
    return this.#store.size
  }

  /** Every object, in no order that matters; one that changes meanwhile may be given as it was or as it is. */
  all(): Iterable<MetadataObject> {
    return this.#store.all()
  }

  /** What there is now, to be read later. To be ended, so that changes are not kept from it for ever. */
  snapshot(): ModelSnapshot {
    const snapshot = new ModelSnapshot(this.#store, () => this.#snapshots.delete(snapshot))
    this.#snapshots.add(snapshot)
    return snapshot
  }

  get<Type extends InfoType>(type: Type, uuid: string | undefined): InfoOf<Type> | undefined {
    const slot = uuid === undefined ? undefined : this.#store.slotOf(uuid)
    const object = slot === undefined ? undefined : this.#store.get(slot)
    return object?.infoType === type ? (object as InfoOf<Type>) : undefined
  }

  list<Type extends InfoType>(type: Type, index: IndexOf<Type>, key: string): readonly InfoOf<Type>[] {
    return this.#slots(type, index, key).map(slot => this.#store.get(slot) as InfoOf<Type>)
  }

  sequence<Type extends InfoType>(
    type: Type,
    index: IndexOf<Type>,
    key: string,
  ): ObjectSequence<InfoOf<Type>> {
    return new StoredSequence(this.#store, this.#slots(type, index, key))
  }

  /** Calls `listener` for every change from now on. The returned function ends that. */
  onChange(listener: ModelListener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Takes in newer versions, and what is gone. Listeners hear only of what differs. */
  apply(updates: readonly MetadataObject[], removes: Iterable<string>): void {
    const changes: ObjectChange[] = []
    for (const object of updates) {
      const change = this.#put(object)
      if (change !== undefined) changes.push(change)
    }
    for (const uuid of removes) {
      const slot = this.#store.slotOf(uuid)
      if (slot !== undefined) changes.push(this.#remove(slot))
    }
    this.#tell(changes)
  }

  /** Begins to take in the whole of another model. Changes by `apply` before its end are none of it. */
  replacement(): Replacement {
    const taken = new Set<number>()
    return {
      take: objects => {
        this.apply(objects, [])
        for (const { uuid } of objects) taken.add(this.#store.slotOf(uuid) ?? -1)
      },
      end: () => {
        const gone = [...this.#store.slots()].filter(slot => !taken.has(slot))
        this.#tell(gone.map(slot => this.#remove(slot)))
      },
    }
  }

  #tell(changes: readonly ObjectChange[]): void {
    if (changes.length === 0) return
    for (const listener of this.#listeners) listener(changes)
  }

  #slots(type: InfoType, index: string, key: string): readonly number[] {
    return (
      this.#indexesOf(type)
        .find(({ name }) => name === index)
        ?.table.get(key) ?? []
    )
  }

  #indexesOf(type: InfoType): readonly Index[] {
    return this.#indexes.get(type) ?? NO_INDEXES
  }

  /** Undefined when it is what was known already. */
  #put(object: MetadataObject): ObjectChange | undefined {
    const slot = this.#store.slotOf(object.uuid)
    if (slot === undefined) {
      const added = this.#store.add(object)
      for (const { keyOf, table } of this.#indexesOf(object.infoType)) addTo(table, keyOf(object), added)
      return { previous: undefined, object }
    }
    const previous = this.#store.get(slot)
    if (isDeepStrictEqual(previous, object)) return undefined
    this.#replace(slot, previous, object)
    return { previous, object }
  }

  #replace(slot: number, previous: MetadataObject, object: MetadataObject): void {
    // In another order, or in other indexes: out of all, and in again.
    const stays = previous.infoType === object.infoType && previous.infoTypeId === object.infoTypeId
    const wasIn = this.#indexesOf(previous.infoType).filter(
      ({ keyOf }) => !stays || keyOf(previous) !== keyOf(object),
    )
    for (const { keyOf, table } of wasIn) removeFrom(table, keyOf(previous), slot)
    for (const snapshot of this.#snapshots) snapshot.keep(slot, previous)
    const comesInto = stays ? wasIn : this.#indexesOf(object.infoType)
    this.#store.replace(slot, object)
    for (const { keyOf, table } of comesInto) addTo(table, keyOf(object), slot)
  }

  #remove(slot: number): ObjectChange {
    const previous = this.#store.get(slot)
    for (const { keyOf, table } of this.#indexesOf(previous.infoType)) {
      removeFrom(table, keyOf(previous), slot)
    }
    for (const snapshot of this.#snapshots) snapshot.keep(slot, previous)
    this.#store.remove(slot)
    return { previous, object: undefined }
  }
}

function addTo(table: KeyTable, key: string | undefined, slot: number): void {
  if (key !== undefined) table.add(key, slot)
}

function removeFrom(table: KeyTable, key: string | undefined, slot: number): void {
  if (key !== undefined) table.remove(key, slot)
}
