/**
 * HTTP requests to a port of a virtual host's loopback, without a program that makes them: tests ask often, and to start one
 * costs more than the answer.
 *
 * The socket is made and connected while this thread is in the host's network namespace; it stays there for life.
 */

import * as ffi from 'node:ffi'
import { closeSync, openSync } from 'node:fs'
import { request } from 'node:http'
import { Socket } from 'node:net'
import { labErrors } from './errors.ts'

const AF_INET = 2
const SOCK_STREAM = 1
const SOCK_CLOEXEC = 0o2000000
const SOL_SOCKET = 1
const SO_SNDTIMEO = 21
const CLONE_NEWNET = 0x40000000

/** Seconds for a connection, which this thread waits for, and milliseconds for an answer. */
const CONNECT_DEADLINE = 2
const DEADLINE = 20_000

const library = ffi.dlopen(null, {
  setns: { arguments: ['i32', 'i32'], return: 'i32' },
  socket: { arguments: ['i32', 'i32', 'i32'], return: 'i32' },
  setsockopt: { arguments: ['i32', 'i32', 'i32', 'buffer', 'u32'], return: 'i32' },
  connect: { arguments: ['i32', 'buffer', 'u32'], return: 'i32' },
}).functions

/** @returns a connected socket, or -1 */
function connectHere(port: number): number {
  const file = library.socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)
  const patience = Buffer.alloc(16)
  patience.writeBigInt64LE(BigInt(CONNECT_DEADLINE))
  library.setsockopt(file, SOL_SOCKET, SO_SNDTIMEO, patience, patience.length)
  // struct sockaddr_in
  const address = Buffer.alloc(16)
  address.writeUInt16LE(AF_INET)
  address.writeUInt16BE(port, 2)
  address.set([127, 0, 0, 1], 4)
  if (library.connect(file, address, address.length) === 0) return file
  closeSync(file)
  return -1
}

function connectIn(pid: number, port: number): Socket {
  const home = openSync('/proc/self/ns/net', 'r')
  const there = openSync(`/proc/${pid}/ns/net`, 'r')
  let file = -1
  try {
    if (library.setns(there, CLONE_NEWNET) === 0) {
      file = connectHere(port)
      // Everything that this process did from now on would be done there.
      if (library.setns(home, CLONE_NEWNET) !== 0) process.abort()
    }
  } finally {
    closeSync(there)
    closeSync(home)
  }
  if (file < 0) throw labErrors.HostSilent({ object: `port ${port} of a virtual host` })
  return new Socket({ fd: file })
}

export interface HostRequest {
  readonly method: string
  /** `http://127.0.0.1:PORT/…` */
  readonly url: string
  readonly user: string
  readonly password: string
  /** JSON. */
  readonly body?: string
}

/**
 * @param pid of a process on the host
 * @returns the body of the answer, whatever its status
 * @throws `HostSilent`; the system's error when the connection breaks off
 */
export function requestFromHost(
  pid: number,
  { method, url, user, password, body }: HostRequest,
): Promise<string> {
  const target = new URL(url)
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  const outgoing = request(target, {
    method,
    auth: `${user}:${password}`,
    createConnection: () => connectIn(pid, Number(target.port)),
    signal: AbortSignal.timeout(DEADLINE),
    headers:
      body === undefined
        ? {}
        : { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) },
  })
  outgoing.on('error', reject)
  outgoing.on('response', answer => {
    const chunks: Buffer[] = []
    answer.on('data', (chunk: Buffer) => chunks.push(chunk))
    answer.on('error', reject)
    answer.on('end', () => resolve(Buffer.concat(chunks).toString('utf8')))
  })
  outgoing.end(body)
  return promise
}
