/** A published TCP port, as the host's own processes see it on the loopback, and everybody on IPv6. */
import { once } from 'node:events'
import { connect, createServer, type Socket } from 'node:net'
import type { Logger } from '../../kit/index.ts'
import { isRelayed, type PublishedPort } from './attachment.ts'

/** Where connections are relayed to. */
export interface RelayTarget {
  readonly address: string
  readonly port: number
}

/** Connections of one port at a time. */
const CONNECTION_LIMIT = 4096

/** Milliseconds to wait for the container to accept. */
const CONNECT_DEADLINE = 10_000

function isFromThisHost(client: Socket): boolean {
  return client.localAddress?.startsWith('127.') === true && client.remoteAddress?.startsWith('127.') === true
}

/** Joins two connections so that the end of one direction leaves the other open. */
function join(client: Socket, container: Socket): void {
  const drop = () => {
    client.destroy()
    container.destroy()
  }
  for (const socket of [client, container]) socket.on('error', drop)
  client.once('close', () => container.destroy())
  container.once('close', () => client.destroy())
  client.pipe(container)
  container.pipe(client)
}

/**
 * Listens on a published port.
 *
 * @throws the system's error, `EADDRINUSE` or `EADDRNOTAVAIL`
 */
export async function openTcpRelay(
  port: PublishedPort,
  target: RelayTarget,
  log: Logger,
): Promise<{ close(): Promise<void> }> {
  const clients = new Set<Socket>()
  const server = createServer({ allowHalfOpen: true }, client => {
    // By IPv4, everything else takes the kernel's way; what ends here did not pass the firewall rules it should have.
    if (!isRelayed(port) && !isFromThisHost(client)) {
      client.destroy()
      return
    }
    clients.add(client)
    client.once('close', () => clients.delete(client))
    const container = connect({ host: target.address, port: target.port, allowHalfOpen: true })
    container.setTimeout(CONNECT_DEADLINE, () => container.destroy())
    container.once('connect', () => container.setTimeout(0))
    join(client, container)
  })
  server.maxConnections = CONNECTION_LIMIT
  server.listen({ host: port.bindAddress, port: port.hostPort, exclusive: true, ipv6Only: true })
  await once(server, 'listening')
  server.on('error', error =>
    log.warn({ port: port.hostPort, reason: error.message }, 'a published port failed'),
  )
  return {
    async close() {
      const closed = once(server, 'close')
      server.close()
      for (const client of clients) client.destroy()
      await closed
    },
  }
}
