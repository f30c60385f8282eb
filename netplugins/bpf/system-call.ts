/** bpf(2), which the C library has no function for. */
import * as ffi from 'node:ffi'
import { endianness } from 'node:os'
import { arch } from 'node:process'
import { getSystemErrorName } from 'node:util'
import { networkErrors } from '../errors.ts'

/** The number of the system call (asm/unistd.h), by architecture. */
const NUMBERS: Readonly<Partial<Record<NodeJS.Architecture, bigint>>> = {
  x64: 321n,
  arm64: 280n,
  riscv64: 280n,
}

/** The kernel stops checking a program when a signal arrives, which is of no account here. */
const TRIES = 10

interface CLibrary {
  /** Where this thread's errno is. */
  __errno_location(): bigint
  syscall(number: bigint, command: bigint, attributes: Uint8Array, size: bigint): bigint
}

let library: CLibrary | undefined

function cLibrary(): CLibrary {
  library ??= ffi.dlopen(null, {
    __errno_location: { arguments: [], return: 'pointer' },
    syscall: { arguments: ['i64', 'i64', 'buffer', 'u64'], return: 'i64' },
  }).functions
  return library
}

/** An errno as the cause of a `KernelRefused`, readable by `systemErrorCode`. */
class BpfError extends Error {
  readonly code: string

  constructor(code: string) {
    super(`the kernel answered ${code}`)
    this.name = 'BpfError'
    this.code = code
  }
}

/** The address of bytes, for an attribute that points to them; they must be kept until the call has returned. */
export function addressOf(bytes: Uint8Array): bigint {
  return ffi.getRawPointer(bytes)
}

/**
 * @param attributes `union bpf_attr` (linux/bpf.h), in the byte order of the machine
 * @param object what it is about, for the error
 * @param action what is done to it, for the error
 * @returns a descriptor, or 0
 * @throws `KernelRefused` with the errno as its cause; ENOSYS where there is no such call
 */
export function bpf(command: number, attributes: Buffer, object: string, action: string): number {
  const number = NUMBERS[arch]
  if (number === undefined || endianness() !== 'LE') throw refused(object, action, 'ENOSYS')
  const { syscall, __errno_location } = cLibrary()
  for (let tries = 1; ; tries += 1) {
    const result = Number(syscall(number, BigInt(command), attributes, BigInt(attributes.length)))
    if (result >= 0) return result
    const code = getSystemErrorName(-ffi.getInt32(__errno_location(), 0))
    if (code !== 'EAGAIN' || tries === TRIES) throw refused(object, action, code)
  }
}

function refused(object: string, action: string, code: string): Error {
  return networkErrors.KernelRefused({
    object,
    message: `the kernel refused to ${action} it (${code})`,
    cause: new BpfError(code),
  })
}
