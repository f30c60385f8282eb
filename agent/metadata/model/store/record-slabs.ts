/**
 * Records side by side in large pieces of memory outside of the heap.
 *
 * They are written one behind the other. A piece of which less than three quarters are in use has what is left of it moved
 * to the newest, and is used again: however often things change, little more memory is taken than records need.
 */

/** Bytes of a piece. */
const SLAB = 256 * 1024
/** Two numbers of four bytes before each record: whose it is, and how long. */
const HEADER = 8
/** Larger records have a piece of their own, so that the others are full when they are left: at least seven eighths. */
const LARGE = SLAB / 8
/** Empty pieces that are kept for the next ones. */
const SPARE = 2

interface Slab {
  readonly bytes: Buffer
  /** Where the next record begins. */
  end: number
  /** Bytes of records that are not replaced. */
  live: number
}

/** Where a record is. */
export interface RecordPlace {
  readonly bytes: Buffer
  readonly start: number
}

export class RecordSlabs {
  readonly #slabs: (Slab | undefined)[] = []
  readonly #free: number[] = []
  readonly #spare: Buffer[] = []
  /** The piece that is being written; below 0 before there is one. */
  #current = -1
  /** Pieces that were written full, and not looked at since. */
  #left: number[] = []
  /** By slot: number of the piece, and where in it the record begins. */
  #slabOf = new Int32Array(1_024).fill(-1)
  #startOf = new Uint32Array(1_024)

  /** Bytes that are taken from the system. */
  get size(): number {
    return this.#slabs.reduce((sum, slab) => sum + (slab?.bytes.length ?? 0), 0) + this.#spare.length * SLAB
  }

  /** Undefined when there is no record. Good until the next record is written. */
  find(slot: number): RecordPlace | undefined {
    const slab = this.#slabs[this.#slabOf[slot] ?? -1]
    return slab && { bytes: slab.bytes, start: this.#startOf[slot] ?? 0 }
  }

  /** Puts a record in the place of whatever the slot had. @param record is copied */
  put(slot: number, record: Buffer): void {
    this.#makeRoom(slot)
    const before = this.#slabOf[slot] ?? -1
    const length = before < 0 ? 0 : this.#lengthAt(before, this.#startOf[slot] ?? 0)
    this.#write(slot, record)
    if (before >= 0) this.#forget(before, length)
    for (let number = this.#left.pop(); number !== undefined; number = this.#left.pop()) this.#tidy(number)
  }

  remove(slot: number): void {
    const number = this.#slabOf[slot] ?? -1
    if (number < 0) return
    const length = this.#lengthAt(number, this.#startOf[slot] ?? 0)
    this.#slabOf[slot] = -1
    this.#forget(number, length)
  }

  #lengthAt(number: number, start: number): number {
    return this.#slabs[number]?.bytes.readUInt32LE(start - 4) ?? 0
  }

  #write(slot: number, record: Buffer): void {
    const size = HEADER + record.length
    const number = size > LARGE ? this.#open(Buffer.allocUnsafeSlow(size)) : this.#roomFor(size)
    const slab = this.#slabs[number] as Slab
    slab.bytes.writeUInt32LE(slot, slab.end)
    slab.bytes.writeUInt32LE(record.length, slab.end + 4)
    record.copy(slab.bytes, slab.end + HEADER)
    this.#slabOf[slot] = number
    this.#startOf[slot] = slab.end + HEADER
    slab.end += size
    slab.live += size
  }

  /** The newest piece; a new one when that is full. */
  #roomFor(size: number): number {
    const current = this.#slabs[this.#current]
    if (current !== undefined && current.end + size <= SLAB) return this.#current
    if (current !== undefined) this.#left.push(this.#current)
    this.#current = this.#open(this.#spare.pop() ?? Buffer.allocUnsafeSlow(SLAB))
    return this.#current
  }

  #open(bytes: Buffer): number {
    const number = this.#free.pop() ?? this.#slabs.length
    this.#slabs[number] = { bytes, end: 0, live: 0 }
    return number
  }

  #forget(number: number, length: number): void {
    const slab = this.#slabs[number]
    if (slab === undefined) return
    slab.live -= HEADER + length
    this.#tidy(number)
  }

  /** Empties a piece that holds too little. */
  #tidy(number: number): void {
    const slab = this.#slabs[number]
    if (slab === undefined || number === this.#current || slab.live * 4 > slab.bytes.length * 3) return
    const { bytes, end } = slab
    for (let at = 0; slab.live > 0 && at < end; ) {
      const slot = bytes.readUInt32LE(at)
      const start = at + HEADER
      at = start + bytes.readUInt32LE(at + 4)
      if (this.#slabOf[slot] !== number || this.#startOf[slot] !== start) continue
      this.#write(slot, bytes.subarray(start, at))
      slab.live -= at - start + HEADER
    }
    this.#slabs[number] = undefined
    this.#free.push(number)
    if (bytes.length === SLAB && this.#spare.length < SPARE) this.#spare.push(bytes)
  }

  #makeRoom(slot: number): void {
    if (slot < this.#slabOf.length) return
    const length = Math.max(slot + 1, Math.ceil(this.#slabOf.length * 1.5))
    const slabOf = new Int32Array(length).fill(-1)
    slabOf.set(this.#slabOf)
    this.#slabOf = slabOf
    const startOf = new Uint32Array(length)
    startOf.set(this.#startOf)
    this.#startOf = startOf
  }
}
