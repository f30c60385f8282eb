/** Reads a watch over HTTP, event by event. */
import { type ClientRequest, type IncomingMessage, request } from 'node:http'
import { createInterface } from 'node:readline'
import { BoundedQueue } from '../../../../kit/index.ts'

export interface WatchedEvent {
  readonly type: string
  // biome-ignore lint/suspicious/noExplicitAny: tests look into whatever came
  readonly object: any
}

export interface OpenWatch {
  readonly response: IncomingMessage
  /** The next event; undefined when the stream has ended. */
  next(): Promise<WatchedEvent | undefined>
  close(): void
}

/** Opens a watch; resolves when the server has answered. */
export function openWatch(
  port: number,
  target: string,
  options: { readonly token?: string; readonly accept?: string; readonly cluster?: string } = {},
): Promise<OpenWatch> {
  const { token = 'admin|c1', accept, cluster = 'c1' } = options
  return new Promise((resolve, reject) => {
    const outgoing: ClientRequest = request({
      host: '127.0.0.1',
      port,
      path: `/k8s/clusters/${cluster}${target}`,
      headers: { authorization: `Bearer ${token}`, ...(accept === undefined ? {} : { accept }) },
    })
    outgoing.on('error', reject)
    outgoing.on('response', response => {
      const events = new BoundedQueue<WatchedEvent>('watch', 100_000, 'reject')
      const lines = createInterface({ input: response })
      lines.on('line', line => events.push(JSON.parse(line)))
      lines.on('close', () => events.close())
      // It reports the errors of its input as its own.
      lines.on('error', () => events.close())
      response.on('error', () => events.close())
      resolve({
        response,
        next: async () => (await events.next()).value,
        close: () => outgoing.destroy(),
      })
    })
    outgoing.end()
  })
}
