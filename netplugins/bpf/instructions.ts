/** Writes programs of the kernel's virtual machine (RFC 9669), instruction by instruction. */

/** A register: 0 results, 1 to 5 arguments, 6 to 9 kept over calls, 10 the end of the stack (read only). */
export type Register = 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9 | 10

/** Bytes of a value in memory. */
export type Width = 1 | 2 | 4 | 8

/** Opcodes (RFC 9669, appendix A). */
const LOAD: Readonly<Record<Width, number>> = { 1: 0x71, 2: 0x69, 4: 0x61, 8: 0x79 }
const STORE: Readonly<Record<Width, number>> = { 1: 0x73, 2: 0x6b, 4: 0x63, 8: 0x7b }
const ARITHMETIC = {
  add: 0x07,
  subtract: 0x17,
  or: 0x47,
  and: 0x57,
  shiftLeft: 0x67,
  shiftRight: 0x77,
  set: 0xb7,
}
const JUMPS = { equal: 0x15, above: 0x25, anyBit: 0x45, notEqual: 0x55, below: 0xa5 }
/** The other operand is a register, not a number. */
const BY_REGISTER = 0x08
const ALWAYS = 0x05
const CALL = 0x85
const EXIT = 0x95
const LOAD_WIDE = 0x18
/** In place of a source register: the number is a map's descriptor, or that of one with a value to point to. */
const MAP = 1
const MAP_VALUE = 2

const INSTRUCTION_SIZE = 8

interface Instruction {
  readonly opcode: number
  readonly target: number
  readonly source: number
  readonly offset: number
  readonly number: number
  readonly jump?: string
}

export type Operand = number | { readonly register: Register }

export class Program {
  readonly #instructions: Instruction[] = []
  readonly #labels = new Map<string, number>()

  /** target = what is at the address in `base` plus `offset`; clears the bytes that it does not fill. */
  load(width: Width, target: Register, base: Register, offset: number): this {
    return this.#add({ opcode: LOAD[width], target, source: base, offset })
  }

  /** Writes the low bytes of `source` to the address in `base` plus `offset`. */
  store(width: Width, base: Register, offset: number, source: Register): this {
    return this.#add({ opcode: STORE[width], target: base, source, offset })
  }

  /** target = target (operation) operand, in 64 bits; numbers are signed and have 32. */
  compute(operation: keyof typeof ARITHMETIC, target: Register, operand: Operand): this {
    const opcode = ARITHMETIC[operation]
    if (typeof operand === 'number') return this.#add({ opcode, target, number: operand })
    return this.#add({ opcode: opcode | BY_REGISTER, target, source: operand.register })
  }

  /** Goes on at `label` when the comparison, without sign, holds. */
  jumpIf(left: Register, comparison: keyof typeof JUMPS, operand: Operand, label: string): this {
    const opcode = JUMPS[comparison]
    if (typeof operand === 'number') return this.#add({ opcode, target: left, number: operand, jump: label })
    return this.#add({ opcode: opcode | BY_REGISTER, target: left, source: operand.register, jump: label })
  }

  jump(label: string): this {
    return this.#add({ opcode: ALWAYS, jump: label })
  }

  /** Where jumps to `label` lead. */
  label(label: string): this {
    this.#labels.set(label, this.#instructions.length)
    return this
  }

  /** target = the map with that descriptor, for a function of the kernel. */
  map(target: Register, descriptor: number): this {
    this.#add({ opcode: LOAD_WIDE, target, source: MAP, number: descriptor })
    return this.#add({ opcode: 0 })
  }

  /** target = the address of the first value of an array. */
  mapValue(target: Register, descriptor: number): this {
    this.#add({ opcode: LOAD_WIDE, target, source: MAP_VALUE, number: descriptor })
    return this.#add({ opcode: 0 })
  }

  /** Calls a function of the kernel (bpf-helpers(7)) by its number. */
  call(helper: number): this {
    return this.#add({ opcode: CALL, number: helper })
  }

  /** Ends with what is in register 0. */
  exit(): this {
    return this.#add({ opcode: EXIT })
  }

  /** The program as the kernel takes it, on a machine that puts the low byte first. @throws for a jump to nowhere */
  bytes(): Buffer {
    const bytes = Buffer.alloc(this.#instructions.length * INSTRUCTION_SIZE)
    for (const [index, { opcode, target, source, offset, number, jump }] of this.#instructions.entries()) {
      const at = index * INSTRUCTION_SIZE
      bytes.writeUInt8(opcode, at)
      bytes.writeUInt8(target | (source << 4), at + 1)
      bytes.writeInt16LE(jump === undefined ? offset : this.#distance(index, jump), at + 2)
      bytes.writeInt32LE(number | 0, at + 4)
    }
    return bytes
  }

  #distance(from: number, label: string): number {
    const to = this.#labels.get(label)
    if (to === undefined) throw new Error(`no instruction has the label ${label}`)
    return to - from - 1
  }

  #add(instruction: Partial<Instruction> & Pick<Instruction, 'opcode'>): this {
    this.#instructions.push({ target: 0, source: 0, offset: 0, number: 0, ...instruction })
    return this
  }
}
