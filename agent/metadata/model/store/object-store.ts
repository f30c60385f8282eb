/** Objects as records, each in a slot of its own, which it keeps as long as it lives. */
import type { MetadataObject } from '../../../../protocol/index.ts'
import { KeyTable, type SlotOrder } from './key-table.ts'
import { RecentObjects } from './recent-objects.ts'
import { RecordReader } from './record-reader.ts'
import { RecordSlabs } from './record-slabs.ts'
import { RecordWriter } from './record-writer.ts'
import { SharedTable } from './shared-table.ts'

/** A number that grows with every object that is made: the order of lists is that of creation. */
function creationNumber({ infoTypeId }: MetadataObject): number {
  return Number(/\d+$/.exec(infoTypeId)?.[0] ?? 0)
}

export class ObjectStore implements SlotOrder {
  readonly #texts = new SharedTable<string>()
  readonly #shapes = new SharedTable<readonly string[]>()
  readonly #writer = new RecordWriter(this.#texts, this.#shapes)
  readonly #reader = new RecordReader(this.#texts, this.#shapes)
  readonly #slabs = new RecordSlabs()
  readonly #recent = new RecentObjects<MetadataObject>()
  readonly #byUuid = new KeyTable(this, (slot, uuid) => this.#field(slot, 'uuid') === uuid)
  readonly #free: number[] = []
  /** By slot. */
  #creations = new Float64Array(1_024)
  #stamps = new Uint32Array(1_024)
  #slots = 0
  #stamp = 0
  #size = 0

  /** Objects that there are. */
  get size(): number {
    return this.#size
  }

  slotOf(uuid: string): number | undefined {
    return this.#byUuid.first(uuid)
  }

  /** The object of a slot that has one. Do not change it. */
  get(slot: number): MetadataObject {
    const object = this.read(slot)
    this.#recent.put(slot, object)
    return object
  }

  /** The same, without disturbing what was read lately: for whoever reads all of them. */
  read(slot: number): MetadataObject {
    const recent = this.#recent.get(slot)
    if (recent !== undefined) return recent
    const { bytes, start } = this.#place(slot)
    return this.#reader.read(bytes, start) as MetadataObject
  }

  name(slot: number): string {
    return this.#field(slot, 'name') as string
  }

  uuid(slot: number): string {
    return this.#field(slot, 'uuid') as string
  }

  /** Differs between objects that have the same slot, one after the other; 0 when the slot has none. */
  stampOf(slot: number): number {
    return this.#stamps[slot] ?? 0
  }

  /** Slots from here on never had an object. */
  get slotLimit(): number {
    return this.#slots
  }

  /** The highest that there is; what comes later has a higher one. */
  get newestStamp(): number {
    return this.#stamp
  }

  /** Slots that have objects. What is added meanwhile may be missing. */
  *slots(): Generator<number> {
    for (let slot = 0; slot < this.#slots; slot += 1) if (this.stampOf(slot) !== 0) yield slot
  }

  /** Every object; none is kept for those who ask again. */
  *all(): Generator<MetadataObject> {
    for (const slot of this.slots()) yield this.read(slot)
  }

  /** In order of creation. */
  compare(left: number, right: number): number {
    const difference = (this.#creations[left] ?? 0) - (this.#creations[right] ?? 0)
    if (difference !== 0 || left === right) return difference
    return this.uuid(left) < this.uuid(right) ? -1 : 1
  }

  /** @returns its slot */
  add(object: MetadataObject): number {
    const slot = this.#free.pop() ?? this.#slots++
    this.#makeRoom(slot)
    this.#stamp += 1
    this.#stamps[slot] = this.#stamp
    this.#size += 1
    this.#write(slot, object)
    this.#byUuid.add(object.uuid, slot)
    return slot
  }

  /** @param object with the uuid of what the slot has */
  replace(slot: number, object: MetadataObject): void {
    this.#write(slot, object)
  }

  remove(slot: number): void {
    this.#byUuid.remove(this.uuid(slot), slot)
    this.#release(slot)
    this.#slabs.remove(slot)
    this.#recent.delete(slot)
    this.#stamps[slot] = 0
    this.#size -= 1
    this.#free.push(slot)
  }

  #write(slot: number, object: MetadataObject): void {
    const record = this.#writer.write(object, slot)
    this.#release(slot)
    this.#slabs.put(slot, record)
    this.#creations[slot] = creationNumber(object)
    this.#recent.delete(slot)
    this.#recent.put(slot, object)
  }

  #field(slot: number, name: string): unknown {
    const { bytes, start } = this.#place(slot)
    return this.#reader.field(bytes, start, name)
  }

  #place(slot: number) {
    const place = this.#slabs.find(slot)
    if (place === undefined) throw new RangeError(`slot ${slot} is empty`)
    return place
  }

  #release(slot: number): void {
    const place = this.#slabs.find(slot)
    if (place !== undefined) this.#reader.release(place.bytes, place.start)
  }

  #makeRoom(slot: number): void {
    if (slot < this.#stamps.length) return
    const length = Math.ceil(this.#stamps.length * 1.5)
    const stamps = new Uint32Array(length)
    stamps.set(this.#stamps)
    this.#stamps = stamps
    const creations = new Float64Array(length)
    creations.set(this.#creations)
    this.#creations = creations
  }
}
