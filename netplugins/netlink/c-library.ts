/** The functions of the C library that Node does not offer. Foreign code is called here, in `bpf/` and in `kit/native-heap.ts` alone. */
import * as ffi from 'node:ffi'

interface CLibrary {
  /** setns(2) for the calling thread. */
  setns(file: number, kind: number): number
  setsockopt(file: number, level: number, option: number, value: Uint8Array, size: number): number
  socket(family: number, type: number, protocol: number): number
  bind(file: number, address: Uint8Array, size: number): number
  /** Both return the number of bytes, or -1. */
  send(file: number, bytes: Uint8Array, size: bigint, flags: number): bigint
  recv(file: number, bytes: Uint8Array, size: bigint, flags: number): bigint
}

let library: CLibrary | undefined

/** The first two and `bind` return 0 on success. */
export function cLibrary(): CLibrary {
  library ??= ffi.dlopen(null, {
    setns: { arguments: ['i32', 'i32'], return: 'i32' },
    setsockopt: { arguments: ['i32', 'i32', 'i32', 'buffer', 'u32'], return: 'i32' },
    socket: { arguments: ['i32', 'i32', 'i32'], return: 'i32' },
    bind: { arguments: ['i32', 'buffer', 'u32'], return: 'i32' },
    send: { arguments: ['i32', 'buffer', 'u64', 'i32'], return: 'i64' },
    recv: { arguments: ['i32', 'buffer', 'u64', 'i32'], return: 'i64' },
  }).functions
  return library
}
