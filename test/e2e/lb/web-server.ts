/** Servers behind, and clients in front of, a balancer under test. */
import { once } from 'node:events'
import { createServer, request, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface WebServer {
  readonly port: number
  /** Headers of the newest request. */
  readonly seen: () => Readonly<Record<string, string | string[] | undefined>>
  close(): Promise<void>
}

/** Answers every request with its name, at a free port of the loopback unless `place` says where. */
export async function webServer(
  name: string,
  status = () => 200,
  place: { readonly host: string; readonly port: number } = { host: '127.0.0.1', port: 0 },
): Promise<WebServer> {
  let headers: Readonly<Record<string, string | string[] | undefined>> = {}
  const server: Server = createServer((incoming, response) => {
    headers = incoming.headers
    response.writeHead(status(), { 'content-length': Buffer.byteLength(name) }).end(name)
  })
  server.listen(place.port, place.host)
  await once(server, 'listening')
  return {
    port: (server.address() as AddressInfo).port,
    seen: () => headers,
    async close() {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}

export interface Answer {
  readonly status: number
  readonly body: string
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
}

/** One request on a connection of its own. */
export async function get(
  port: number,
  path: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<Answer> {
  const outgoing = request({ host: '127.0.0.1', port, path, headers, agent: false, timeout: 5000 })
  outgoing.once('timeout', () => outgoing.destroy(new Error('no answer')))
  outgoing.end()
  const [incoming] = await once(outgoing, 'response')
  let body = ''
  for await (const chunk of incoming) body += chunk
  return { status: incoming.statusCode, body, headers: incoming.headers }
}
