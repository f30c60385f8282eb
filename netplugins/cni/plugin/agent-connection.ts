/**
 * One line to the agent, one line back.
 *
 * Uses the compiler's own sockets: loading its `node:net` takes half of the time that the plugin takes to start.
 */

/** What is used of https://bun.sh/docs/api/tcp */
interface BunSocket {
  /** @returns how many bytes were taken; the rest has to be written again after `drain` */
  write(data: Uint8Array): number
  end(): void
}

interface BunHandlers {
  open(socket: BunSocket): void
  drain(socket: BunSocket): void
  data(socket: BunSocket, chunk: Uint8Array): void
  close(socket: BunSocket): void
  error(socket: BunSocket, error: Error): void
}

declare const Bun: { connect(options: { unix: string; socket: BunHandlers }): Promise<BunSocket> }

export interface ExchangeLimits {
  /** Milliseconds in which the answer arrives. */
  readonly deadline: number
  /** Bytes that the answer has at most. */
  readonly size: number
}

const NEWLINE = 10

/** @returns the answer without its newline; rejects with the reason when there is none */
export function exchange(socket: string, line: string, limits: ExchangeLimits): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  const answer: Uint8Array[] = []
  let size = 0
  let unsent: Uint8Array = Buffer.from(`${line}\n`)
  const send = (connection: BunSocket) => {
    unsent = unsent.subarray(connection.write(unsent))
  }
  setTimeout(() => reject(new Error(`no answer within ${limits.deadline} ms`)), limits.deadline)
  Bun.connect({
    unix: socket,
    socket: {
      open: send,
      drain: send,
      data: (connection, chunk) => {
        size += chunk.length
        // The chunk's memory is used again for the next one.
        answer.push(Uint8Array.from(chunk))
        if (size > limits.size) reject(new Error(`its answer is longer than ${limits.size} bytes`))
        if (chunk.at(-1) !== NEWLINE) return
        resolve(Buffer.concat(answer).toString('utf8').trimEnd())
        connection.end()
      },
      close: () => reject(new Error('it closed the connection')),
      error: (_, error) => reject(error),
    },
  }).catch(reject)
  return promise
}
