/** The metadata of the cluster in memory: objects by uuid, and in the groups that are asked for. */
import { isDeepStrictEqual } from 'node:util'
import type { MetadataObject } from '../../../protocol/index.ts'
import { type IndexOf, type InfoOf, type InfoType, indexes } from './indexes.ts'
import { ObjectGroups } from './object-groups.ts'

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

/** What can be asked of the model. */
export interface ModelReader {
  get<Type extends InfoType>(type: Type, uuid: string | undefined): InfoOf<Type> | undefined
  /** The objects with `key` in an index, in order of creation. Do not keep it: it changes with the model. */
  list<Type extends InfoType>(type: Type, index: IndexOf<Type>, key: string): readonly InfoOf<Type>[]
}

interface Index {
  readonly name: string
  readonly keyOf: (object: MetadataObject) => string | undefined
  readonly groups: ObjectGroups<MetadataObject>
}

function emptyIndexes(): Map<InfoType, Map<string, Index>> {
  const types = Object.entries(indexes) as [InfoType, Record<string, unknown>][]
  return new Map(
    types.map(([type, definitions]) => [
      type,
      new Map(
        Object.entries(definitions).map(([name, keyOf]) => [
          name,
          { name, keyOf: keyOf as Index['keyOf'], groups: new ObjectGroups<MetadataObject>() },
        ]),
      ),
    ]),
  )
}

export class MetadataModel implements ModelReader {
  readonly #objects = new Map<string, MetadataObject>()
  readonly #indexes = emptyIndexes()
  readonly #listeners = new Set<ModelListener>()

  get size(): number {
    return this.#objects.size
  }

  /** Every object, in no order that matters. */
  all(): IterableIterator<MetadataObject> {
    return this.#objects.values()
  }

  get<Type extends InfoType>(type: Type, uuid: string | undefined): InfoOf<Type> | undefined {
    const object = uuid === undefined ? undefined : this.#objects.get(uuid)
    return object?.infoType === type ? (object as InfoOf<Type>) : undefined
  }

  list<Type extends InfoType>(type: Type, index: IndexOf<Type>, key: string): readonly InfoOf<Type>[] {
    return (this.#indexes.get(type)?.get(index)?.groups.get(key) ?? []) as readonly InfoOf<Type>[]
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
      const previous = this.#objects.get(object.uuid)
      if (previous !== undefined && isDeepStrictEqual(previous, object)) continue
      const samePlace = previous?.infoType === object.infoType && previous.infoTypeId === object.infoTypeId
      if (previous !== undefined && !samePlace) this.#unindex(previous)
      this.#objects.set(object.uuid, object)
      this.#index(object, samePlace ? previous : undefined)
      changes.push({ previous, object })
    }
    for (const uuid of removes) {
      const previous = this.#objects.get(uuid)
      if (previous === undefined) continue
      this.#objects.delete(uuid)
      this.#unindex(previous)
      changes.push({ previous, object: undefined })
    }
    if (changes.length === 0) return
    for (const listener of this.#listeners) listener(changes)
  }

  #index(object: MetadataObject, previous: MetadataObject | undefined): void {
    for (const { keyOf, groups } of this.#indexes.get(object.infoType)?.values() ?? []) {
      const key = keyOf(object)
      const before = previous && keyOf(previous)
      if (previous !== undefined && before !== undefined && before !== key) groups.remove(before, previous)
      if (key !== undefined) groups.put(key, object)
    }
  }

  #unindex(object: MetadataObject): void {
    for (const { keyOf, groups } of this.#indexes.get(object.infoType)?.values() ?? []) {
      const key = keyOf(object)
      if (key !== undefined) groups.remove(key, object)
    }
  }
}
