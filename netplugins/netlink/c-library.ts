/** The two functions of the C library that Node does not offer: the one place that calls foreign code. */
import * as ffi from 'node:ffi'

interface CLibrary {
  /** setns(2) for the calling thread. */
  setns(file: number, kind: number): number
  setsockopt(file: number, level: number, option: number, value: Uint8Array, size: number): number
}

let library: CLibrary | undefined

/** Both functions return 0 on success. */
export function cLibrary(): CLibrary {
  library ??= ffi.dlopen(null, {
    setns: { arguments: ['i32', 'i32'], return: 'i32' },
    setsockopt: { arguments: ['i32', 'i32', 'i32', 'buffer', 'u32'], return: 'i32' },
  }).functions
  return library
}
