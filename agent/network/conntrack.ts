/**
 * Forgets what the kernel's connection tracking remembers of a published UDP port.
 *
 * A UDP client that keeps sending keeps its entry alive, and with it the answer to where its packets go: to a container
 * that is gone, or to nobody. Only entries of exactly this port are touched. TCP needs none of this: its clients
 * notice, and connect again.
 */
import { forgetUdpFlows } from '../../netplugins/conntrack/index.ts'
import { listAddresses, withRouteSocket } from '../../netplugins/netlink/index.ts'
import type { UdpPort } from '../../netplugins/service-proxy/index.ts'
import { ANY_ADDRESS, type Attachment, type PublishedPort } from './attachment.ts'

function udpPorts(attachment: Pick<Attachment, 'ports'>): readonly PublishedPort[] {
  return attachment.ports.filter(port => port.protocol === 'udp')
}

function isFor({ bindAddress }: PublishedPort, destination: string): boolean {
  return bindAddress === ANY_ADDRESS || bindAddress === destination
}

async function localAddresses(): Promise<ReadonlySet<string>> {
  const entries = await withRouteSocket(undefined, socket => listAddresses(socket))
  return new Set(entries.map(entry => entry.address).filter(address => !address.startsWith('127.')))
}

/** Forgets the way to a container that was detached. @throws `KernelRefused`, `KernelSilent` */
export async function forgetDetached(attachment: Pick<Attachment, 'address' | 'ports'>): Promise<void> {
  for (const port of udpPorts(attachment)) {
    await forgetUdpFlows(
      port.hostPort,
      ({ original, reply }) =>
        isFor(port, original.destination) &&
        reply.source === attachment.address &&
        reply.sourcePort === port.containerPort,
    )
  }
}

/**
 * Forgets that nobody listened on the ports of a container that was attached now.
 *
 * @throws `KernelRefused`, `KernelSilent`
 */
export async function forgetUnanswered(attachment: Pick<Attachment, 'ports'>): Promise<void> {
  const ports = udpPorts(attachment)
  if (ports.length === 0) return
  const local = await localAddresses()
  for (const port of ports) {
    await forgetUdpFlows(
      port.hostPort,
      // Without address translation, the answer would come from the address that was asked.
      ({ original, reply }) =>
        isFor(port, original.destination) &&
        local.has(original.destination) &&
        reply.source === original.destination,
    )
  }
}

/**
 * Forgets the ways to endpoints that do not serve any more, and that nobody did, on ports of services.
 *
 * @throws `KernelRefused`, `KernelSilent`
 */
export async function forgetUnserved(ports: readonly UdpPort[]): Promise<void> {
  const local = await localAddresses()
  const byNumber = Map.groupBy(ports, ({ port }) => port)
  for (const [number, same] of byNumber) {
    await forgetUdpFlows(number, ({ original, reply }) =>
      same.some(
        ({ address, endpoints }) =>
          (address === undefined ? local.has(original.destination) : address === original.destination) &&
          !endpoints.has(`${reply.source}:${reply.sourcePort}`),
      ),
    )
  }
}
