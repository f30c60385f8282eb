/** What the C library's allocator keeps of freed memory, given back to the system. */
function findTrim(): ((keep: bigint) => number) | undefined {
  try {
    // Only where it is used: loading it takes a moment.
    const ffi = process.getBuiltinModule('node:ffi')
    return ffi.dlopen(null, { malloc_trim: { arguments: ['u64'], return: 'i32' } }).functions.malloc_trim as (
      keep: bigint,
    ) => number
  } catch {
    // Only glibc has it, and only glibc needs it.
    return undefined
  }
}

let trim: ((keep: bigint) => number) | undefined | null = null

/** malloc_trim(3): takes a millisecond or a few; does nothing where the C library is another one. */
export function trimNativeHeap(): void {
  if (trim === null) trim = findTrim()
  trim?.(0n)
}
