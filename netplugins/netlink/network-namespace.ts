/**
 * Entering another network namespace for a moment.
 *
 * A socket belongs for life to the network namespace its creating thread was in, so entering a namespace is only
 * needed while the socket is made. setns(2) changes the calling thread alone; libuv's worker threads and the
 * processes we start are not affected, because nothing is awaited between entering and leaving.
 */
import { closeSync, constants, openSync, writeSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { isMainThread } from 'node:worker_threads'
import { systemErrorCode } from '../../kit/index.ts'
import { networkErrors } from '../errors.ts'
import { cLibrary } from './c-library.ts'

/** The namespace kind in setns(2); the call fails with EINVAL for a file of any other kind. */
const CLONE_NEWNET = 0x40000000

const STANDARD_ERROR = 2

let home: number | undefined

/** A descriptor of the process's own namespace. */
function openHome(): number {
  if (!isMainThread) {
    throw networkErrors.NamespaceRefused({
      object: 'network namespace',
      message: 'cannot be entered in a worker thread',
      mend: 'enter it in the main thread: the netlink addon does not survive the end of a worker',
    })
  }
  // Opened before leaving it for the first time: the way back must not depend on anything that can fail.
  home ??= openSync('/proc/self/ns/net', 'r')
  return home
}

/**
 * Opens the file of a network namespace, e.g. `/run/netns/blue` or `/proc/1234/ns/net`.
 *
 * @returns a file descriptor, which the caller closes
 * @throws `NamespaceMissing` when there is no such file
 */
export function openNamespaceFile(path: string): number {
  try {
    // Non-blocking: the path comes from outside, and opening a pipe would wait for its writer.
    return openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  } catch (cause) {
    const code = systemErrorCode(cause)
    const missing = code === 'ENOENT' || code === 'ENOTDIR' || code === 'ENXIO' || code === 'ESRCH'
    const error = missing ? networkErrors.NamespaceMissing : networkErrors.NamespaceRefused
    throw error({ object: `network namespace ${path}`, cause })
  }
}

/** Whether a file stands for the network namespace of this process itself. */
export async function isOwnNamespace(path: string): Promise<boolean> {
  const [own, other] = await Promise.all([stat('/proc/self/ns/net'), stat(path).catch(() => undefined)])
  return own.dev === other?.dev && own.ino === other.ino
}

/**
 * Runs `action` with the main thread inside the network namespace of `path`.
 *
 * @param action synchronous, and starts no thread: what it makes (a socket) stays in that namespace
 * @throws `NamespaceMissing` when there is no such file, `NamespaceRefused` when the kernel does not let us in
 */
export function inNetworkNamespace<T>(path: string, action: () => T): T {
  const { setns } = cLibrary()
  const back = openHome()
  const file = openNamespaceFile(path)
  try {
    if (setns(file, CLONE_NEWNET) !== 0) {
      throw networkErrors.NamespaceRefused({
        object: `network namespace ${path}`,
        expected: 'the file of a network namespace, and the privilege to enter it (CAP_SYS_ADMIN)',
      })
    }
    try {
      return action()
    } finally {
      if (setns(back, CLONE_NEWNET) !== 0) {
        // Going on would configure a container's network as if it were the host's.
        writeSync(STANDARD_ERROR, `cannot return from network namespace ${path}; ending the process\n`)
        process.abort()
      }
    }
  } finally {
    closeSync(file)
  }
}
