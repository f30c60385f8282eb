/** Many objects of one type in order, of which each is made when it is asked for. */
import type { InfoOf, InfoType } from './indexes.ts'
import type { ObjectStore } from './store/index.ts'

/** It changes with the model: going through it, or keeping it, gives what is there then. */
export interface ObjectSequence<T> {
  readonly length: number
  at(index: number): T | undefined
  names(): string[]
  /** The first whose name is `name`, without regard to case. */
  withName(name: string): T | undefined
  withUuid(uuid: string): T | undefined
  /** All that are there when it begins, except those that are gone when it comes to them. */
  [Symbol.iterator](): Iterator<T>
}

/** Objects that are there already. */
export function sequenceOf<T extends { readonly name: string; readonly uuid: string }>(
  objects: readonly T[],
): ObjectSequence<T> {
  return {
    length: objects.length,
    at: index => objects[index],
    names: () => objects.map(({ name }) => name),
    withName: name => objects.find(object => object.name.toLowerCase() === name.toLowerCase()),
    withUuid: uuid => objects.find(object => object.uuid === uuid),
    [Symbol.iterator]: () => [...objects].values(),
  }
}

/** Objects of a store, by their slots. */
export class StoredSequence<Type extends InfoType> implements ObjectSequence<InfoOf<Type>> {
  readonly #store: ObjectStore
  readonly #slots: readonly number[]

  constructor(store: ObjectStore, slots: readonly number[]) {
    this.#store = store
    this.#slots = slots
  }

  get length(): number {
    return this.#slots.length
  }

  at(index: number): InfoOf<Type> | undefined {
    const slot = this.#slots[index]
    return slot === undefined ? undefined : this.#object(slot)
  }

  names(): string[] {
    return this.#slots.map(slot => this.#store.name(slot))
  }

  withName(name: string): InfoOf<Type> | undefined {
    const wanted = name.toLowerCase()
    const slot = this.#slots.find(one => this.#store.name(one).toLowerCase() === wanted)
    return slot === undefined ? undefined : this.#object(slot)
  }

  withUuid(uuid: string): InfoOf<Type> | undefined {
    const slot = this.#store.slotOf(uuid)
    return slot !== undefined && this.#slots.includes(slot) ? this.#object(slot) : undefined
  }

  *[Symbol.iterator](): Generator<InfoOf<Type>> {
    const slots = Uint32Array.from(this.#slots)
    const stamps = slots.map(slot => this.#store.stampOf(slot))
    for (const [at, slot] of slots.entries()) {
      if (this.#store.stampOf(slot) === stamps[at]) yield this.#store.read(slot) as InfoOf<Type>
    }
  }

  #object(slot: number): InfoOf<Type> {
    return this.#store.get(slot) as InfoOf<Type>
  }
}
