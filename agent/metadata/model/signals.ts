/**
 * What an answer was made from, and whether that changed since.
 *
 * A signal stands for one thing that can be read from the model: an object, a group of objects, an environment. Whoever
 * reads through a `Reading` learns the signals of what was read; their sum of versions changes when any of it does.
 */
import type { MetadataObject } from '../../../protocol/index.ts'
import { type IndexOf, type InfoOf, type InfoType, indexes } from './indexes.ts'
import { changedObject, type MetadataModel, type ModelReader, type ObjectChange } from './metadata-model.ts'
import type { ObjectSequence } from './object-sequence.ts'

export class Signal {
  #version = 0
  readonly #listeners = new Set<() => void>()

  /** How often it changed. */
  get version(): number {
    return this.#version
  }

  /** Calls `listener` at every change from now on. The returned function ends that. */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  raise(): void {
    this.#version += 1
    for (const listener of [...this.#listeners]) listener()
  }
}

/** Signals that are kept; more are made only by asking for names that do not exist, again and again. */
const CAPACITY = 65_536

/** Signals of one reading; beyond, the one of the whole cluster stands for all of them. */
const READING_CAPACITY = 32

function groupSignal(type: InfoType, index: string, key: string): string {
  return `${type} ${index} ${key}`
}

/** Objects of the cluster, which every environment shows. */
function isShared({ infoType }: MetadataObject): boolean {
  return infoType === 'host' || infoType === 'network' || infoType === 'environment'
}

/** The signals of one model, made when somebody reads what they stand for. */
export class SignalBoard {
  readonly #signals = new Map<string, Signal>()
  readonly #environments = new Map<string, Signal>()
  readonly #whole = new Signal()

  constructor(model: MetadataModel) {
    model.onChange(changes => this.#raise(changes))
  }

  object(uuid: string): Signal {
    return this.#signal(uuid)
  }

  group(type: InfoType, index: string, key: string): Signal {
    return this.#signal(groupSignal(type, index, key))
  }

  /** Anything that an environment shows; anything at all when it is undefined. */
  environment(environmentUuid: string | undefined): Signal {
    if (environmentUuid === undefined) return this.#whole
    const present = this.#environments.get(environmentUuid)
    if (present !== undefined) return present
    const signal = new Signal()
    this.#environments.set(environmentUuid, signal)
    return signal
  }

  #signal(key: string): Signal {
    const present = this.#signals.get(key)
    if (present !== undefined) return present
    if (this.#signals.size >= CAPACITY) this.#forgetAll()
    const signal = new Signal()
    this.#signals.set(key, signal)
    return signal
  }

  /** Whoever holds on to a signal that is forgotten must not take it for unchanged for ever. */
  #forgetAll(): void {
    const signals = [...this.#signals.values()]
    this.#signals.clear()
    for (const signal of signals) signal.raise()
  }

  #raise(changes: readonly ObjectChange[]): void {
    const raised = new Set<Signal | undefined>([this.#whole])
    const gone: string[] = []
    for (const change of changes) {
      const object = changedObject(change)
      raised.add(this.#signals.get(object.uuid))
      if (change.object === undefined) gone.push(object.uuid)
      this.#addEnvironments(change, raised)
      this.#addGroups(change, raised)
    }
    for (const uuid of gone) this.#signals.delete(uuid)
    for (const signal of raised) signal?.raise()
  }

  #addEnvironments(change: ObjectChange, raised: Set<Signal | undefined>): void {
    if (isShared(changedObject(change))) {
      for (const signal of this.#environments.values()) raised.add(signal)
      return
    }
    for (const one of [change.object, change.previous]) {
      if (one !== undefined) raised.add(this.#environments.get(one.environmentUuid))
    }
  }

  #addGroups(change: ObjectChange, raised: Set<Signal | undefined>): void {
    for (const [one, other] of [
      [change.object, change.previous],
      [change.previous, change.object],
    ]) {
      if (one === undefined) continue
      for (const [name, keyFunction] of Object.entries(indexes[one.infoType])) {
        const keyOf = keyFunction as (object: MetadataObject) => string | undefined
        const key = keyOf(one)
        if (key === undefined) continue
        // A group shows which objects are in it, and their names.
        const same = other?.infoType === one.infoType && other.name === one.name && keyOf(other) === key
        if (!same) raised.add(this.#signals.get(groupSignal(one.infoType, name, key)))
      }
    }
  }
}

/** Reads the model and remembers what was read. */
export class Reading implements ModelReader {
  readonly #model: MetadataModel
  readonly #board: SignalBoard
  #signals = new Set<Signal>()

  constructor(model: MetadataModel, board: SignalBoard) {
    this.#model = model
    this.#board = board
  }

  /** The signals of what was read so far. */
  get signals(): readonly Signal[] {
    return [...this.#signals]
  }

  /** How often an environment changed, or the whole cluster when it is undefined. */
  changesOf(environmentUuid: string | undefined): number {
    const signal = this.#board.environment(environmentUuid)
    this.#signals.add(signal)
    return signal.version
  }

  get<Type extends InfoType>(type: Type, uuid: string | undefined): InfoOf<Type> | undefined {
    if (uuid !== undefined) this.#note(() => this.#board.object(uuid))
    return this.#model.get(type, uuid)
  }

  list<Type extends InfoType>(type: Type, index: IndexOf<Type>, key: string): readonly InfoOf<Type>[] {
    this.#note(() => this.#board.group(type, index, key))
    return this.#model.list(type, index, key)
  }

  sequence<Type extends InfoType>(
    type: Type,
    index: IndexOf<Type>,
    key: string,
  ): ObjectSequence<InfoOf<Type>> {
    this.#note(() => this.#board.group(type, index, key))
    return this.#model.sequence(type, index, key)
  }

  #note(signal: () => Signal): void {
    const whole = this.#board.environment(undefined)
    if (this.#signals.has(whole)) return
    if (this.#signals.size < READING_CAPACITY) this.#signals.add(signal())
    else this.#signals = new Set([whole])
  }
}
