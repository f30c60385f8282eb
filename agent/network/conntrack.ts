/**
 * Forgets what the kernel's connection tracking remembers of a published UDP port.
 *
 * A UDP client that keeps sending keeps its entry alive, and with it the answer to where its packets go: to a container
 * that is gone, or to nobody. Only entries of exactly this port are touched. TCP needs none of this: its clients
 * notice, and connect again.
 */
import { isDroverError, runCommand } from '../../kit/index.ts'
import { listAddresses, withRouteSocket } from '../../netplugins/netlink/index.ts'
import { ANY_ADDRESS, type Attachment, type PublishedPort } from './attachment.ts'

function udpPorts(attachment: Attachment): readonly PublishedPort[] {
  return attachment.ports.filter(port => port.protocol === 'udp')
}

/** conntrack(8) answers 1 when there was nothing to delete. */
async function deleteEntries(filter: readonly string[]): Promise<void> {
  await runCommand('conntrack', ['--delete', '--proto', 'udp', ...filter], { acceptedExitCodes: [0, 1] })
}

/** A host without conntrack(8) works but for these entries, which then last until their clients fall silent. */
async function unlessMissing(work: Promise<void>): Promise<void> {
  await work.catch((error: unknown) => {
    if (!isDroverError(error, 'CommandMissing')) throw error
  })
}

async function localAddresses(): Promise<string[]> {
  const entries = await withRouteSocket(undefined, socket => listAddresses(socket))
  return [...new Set(entries.map(entry => entry.address))].filter(address => !address.startsWith('127.'))
}

/** Forgets the way to a container that was detached. @throws `CommandFailed`, `DeadlineExceeded` */
export async function forgetDetached(attachment: Attachment): Promise<void> {
  for (const port of udpPorts(attachment)) {
    const destination = port.bindAddress === ANY_ADDRESS ? [] : ['--orig-dst', port.bindAddress]
    await unlessMissing(
      deleteEntries([
        ...destination,
        ...['--orig-port-dst', String(port.hostPort)],
        ...['--reply-src', attachment.address],
        ...['--reply-port-src', String(port.containerPort)],
      ]),
    )
  }
}

/**
 * Forgets that nobody listened on the ports of a container that was attached now.
 *
 * @throws `CommandFailed`, `DeadlineExceeded`
 */
export async function forgetUnanswered(attachment: Attachment): Promise<void> {
  const ports = udpPorts(attachment)
  if (ports.length === 0) return
  const local = await localAddresses()
  for (const port of ports) {
    const addresses = port.bindAddress === ANY_ADDRESS ? local : [port.bindAddress]
    for (const address of addresses) {
      // Without address translation, the answer would come from the address that was asked.
      await unlessMissing(
        deleteEntries([
          ...['--orig-dst', address, '--orig-port-dst', String(port.hostPort)],
          ...['--reply-src', address],
        ]),
      )
    }
  }
}
