/** Programs that see the packets of a link: loaded into the kernel, and put into its way (tcx; linux/bpf.h). */
import { closeSync } from 'node:fs'
import { systemErrorCode } from '../../kit/index.ts'
import { networkErrors } from '../errors.ts'
import type { Program } from './instructions.ts'
import { addressOf, bpf } from './system-call.ts'

const PROG_LOAD = 5
const PROG_ATTACH = 8
const PROG_DETACH = 9
const PROG_GET_FD_BY_ID = 13
const OBJ_GET_INFO_BY_FD = 15
const PROG_QUERY = 16

const SCHED_CLS = 3
/** Without it, the kernel lets programs use none of its functions. */
const LICENSE = Buffer.from('GPL\0')
const INSTRUCTION_SIZE = 8
const LOG_SIZE = 64 * 1024

/** Of `struct bpf_prog_info`: what is read of it, and where. */
const INFO_SIZE = 80
const INFO_ID = 4
const INFO_NAME = 64
const NAME_LENGTH = 15

/** Programs of one link and direction that are looked at. */
const MOST_ATTACHED = 64

/** Sees packets that come in by the link, or leave by it. */
export type Direction = 'ingress' | 'egress'

const ATTACH_TYPES: Readonly<Record<Direction, number>> = { ingress: 46, egress: 47 }

/** A program in the kernel. */
export interface LoadedProgram {
  readonly name: string
  readonly id: number
  readonly descriptor: number
}

/** Where a program may be. */
export interface Position {
  /** Index of the link, in the network namespace of this process. */
  readonly link: number
  readonly direction: Direction
}

/**
 * Has the kernel check a program and take it.
 *
 * @param name at most 15 letters, digits and `_`
 * @throws `KernelRefused`, with the end of what the kernel's verifier says
 */
export function loadProgram(name: string, program: Program): LoadedProgram {
  const object = `BPF program ${name}`
  const instructions = program.bytes()
  try {
    const descriptor = bpf(PROG_LOAD, loadAttributes(name, instructions), object, 'take')
    return { name, id: readInfo(descriptor, object).id, descriptor }
  } catch (error) {
    // Told without a reason: once more, for the reason.
    throw explained(name, instructions, error)
  }
}

function loadAttributes(name: string, instructions: Buffer, log?: Buffer): Buffer {
  const attributes = Buffer.alloc(72)
  attributes.writeUInt32LE(SCHED_CLS, 0)
  attributes.writeUInt32LE(instructions.length / INSTRUCTION_SIZE, 4)
  attributes.writeBigUInt64LE(addressOf(instructions), 8)
  attributes.writeBigUInt64LE(addressOf(LICENSE), 16)
  if (log !== undefined) {
    attributes.writeUInt32LE(1, 24)
    attributes.writeUInt32LE(log.length, 28)
    attributes.writeBigUInt64LE(addressOf(log), 32)
  }
  attributes.write(name.slice(0, NAME_LENGTH), 48, 'latin1')
  return attributes
}

function explained(name: string, instructions: Buffer, error: unknown): unknown {
  if (!isRefusedWith(error, 'EACCES', 'EINVAL')) return error
  const log = Buffer.alloc(LOG_SIZE)
  try {
    closeSync(bpf(PROG_LOAD, loadAttributes(name, instructions, log), `BPF program ${name}`, 'take'))
  } catch {
    // What matters is in the log.
  }
  const text = log.toString('latin1', 0, log.indexOf(0)).trim().slice(-300)
  if (text === '') return error
  return networkErrors.KernelRefused({
    object: `BPF program ${name}`,
    message: `the kernel refused to take it: ${text}`,
    cause: error instanceof Error ? error.cause : error,
  })
}

function readInfo(descriptor: number, object: string): { id: number; name: string } {
  const info = Buffer.alloc(INFO_SIZE)
  const attributes = Buffer.alloc(16)
  attributes.writeUInt32LE(descriptor, 0)
  attributes.writeUInt32LE(info.length, 4)
  attributes.writeBigUInt64LE(addressOf(info), 8)
  bpf(OBJ_GET_INFO_BY_FD, attributes, object, 'describe')
  const [name = ''] = info.toString('latin1', INFO_NAME, INFO_NAME + NAME_LENGTH).split('\0')
  return { id: info.readUInt32LE(INFO_ID), name }
}

function describe({ link, direction }: Position): string {
  return `BPF programs at the ${direction} of link ${link}`
}

function isRefusedWith(error: unknown, ...codes: readonly string[]): boolean {
  const code = error instanceof Error ? systemErrorCode(error.cause) : undefined
  return code !== undefined && codes.includes(code)
}

function isGone(error: unknown): boolean {
  return isRefusedWith(error, 'ENODEV', 'ENOENT')
}

/** Puts a program behind those that are there. @returns false when there is no such link. @throws `KernelRefused` */
export function attachProgram(position: Position, { descriptor }: LoadedProgram): boolean {
  return changeAttached(PROG_ATTACH, position, descriptor, 'change')
}

function changeAttached(command: number, position: Position, descriptor: number, action: string): boolean {
  const attributes = Buffer.alloc(32)
  attributes.writeUInt32LE(position.link, 0)
  attributes.writeUInt32LE(descriptor, 4)
  attributes.writeUInt32LE(ATTACH_TYPES[position.direction], 8)
  try {
    bpf(command, attributes, describe(position), action)
    return true
  } catch (error) {
    if (isGone(error)) return false
    throw error
  }
}

/** Ids of the programs there, in their order; none at a link that is gone, or in a kernel without such places. @throws `KernelRefused` */
export function attachedPrograms(position: Position): number[] {
  const ids = Buffer.alloc(MOST_ATTACHED * 4)
  const attributes = Buffer.alloc(64)
  attributes.writeUInt32LE(position.link, 0)
  attributes.writeUInt32LE(ATTACH_TYPES[position.direction], 4)
  attributes.writeBigUInt64LE(addressOf(ids), 16)
  attributes.writeUInt32LE(MOST_ATTACHED, 24)
  try {
    bpf(PROG_QUERY, attributes, describe(position), 'list')
  } catch (error) {
    if (isGone(error) || isRefusedWith(error, 'EINVAL', 'ENOSYS', 'EOPNOTSUPP')) return []
    throw error
  }
  return Array.from({ length: attributes.readUInt32LE(24) }, (_, index) => ids.readUInt32LE(index * 4))
}

/** Takes away the programs there whose name matches, whoever put them there. @returns how many. @throws `KernelRefused` */
export function detachPrograms(
  position: Position,
  isMeant: (program: { id: number; name: string }) => boolean,
): number {
  let detached = 0
  for (const id of attachedPrograms(position)) {
    const descriptor = descriptorOf(id)
    if (descriptor === undefined) continue
    try {
      if (!isMeant(readInfo(descriptor, `BPF program ${id}`))) continue
      if (changeAttached(PROG_DETACH, position, descriptor, 'change')) detached += 1
    } finally {
      closeSync(descriptor)
    }
  }
  return detached
}

function descriptorOf(id: number): number | undefined {
  const attributes = Buffer.alloc(12)
  attributes.writeUInt32LE(id, 0)
  try {
    return bpf(PROG_GET_FD_BY_ID, attributes, `BPF program ${id}`, 'open')
  } catch (error) {
    if (isGone(error)) return undefined
    throw error
  }
}

/** Programs that are attached stay where they are. */
export function closeProgram({ descriptor }: LoadedProgram): void {
  closeSync(descriptor)
}
