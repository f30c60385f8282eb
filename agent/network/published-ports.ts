/**
 * Holds the host's end of every published port with a socket of the agent's own.
 *
 * The kernel sends packets from outside straight to the container; the socket never sees them. It is there so that no
 * other process takes the port, so that a port that is taken is found out before anything is built, and to serve
 * 127.0.0.1, to which the kernel could not send a container's packets without opening the loopback to neighbours
 * (route_localnet, CVE-2020-8558).
 *
 * Ports on IPv6 addresses are served by the socket alone, whoever asks: containers have IPv4 addresses only. They see
 * the host as their client, and network policies take it for that.
 */
import { explainError, type Logger, systemErrorCode } from '../../kit/index.ts'
import { networkErrors } from '../../netplugins/index.ts'
import {
  ANY_ADDRESS,
  ANY_IPV6_ADDRESS,
  type Attachment,
  attachmentKey,
  describePort,
  isRelayed,
  type PublishedPort,
} from './attachment.ts'
import { openTcpRelay } from './tcp-relay.ts'
import { openUdpRelay } from './udp-relay.ts'

/** An open socket that relays what comes from the host itself. */
export interface Relay {
  close(): Promise<void>
}

interface Held {
  readonly owner: string
  readonly containerId: string
  readonly port: PublishedPort
  /** Undefined while the port cannot be had. */
  readonly relay: Relay | undefined
}

/** What publishing needs to know of an attachment. */
type Publisher = Pick<Attachment, 'containerId' | 'interfaceName' | 'address' | 'ports'>

/** Sockets of one kind never get packets of the other, so those of IPv4 and IPv6 are not in each other's way. */
function overlap(one: PublishedPort, other: PublishedPort): boolean {
  if (one.hostPort !== other.hostPort || one.protocol !== other.protocol) return false
  if (isRelayed(one) !== isRelayed(other)) return false
  const everywhere = isRelayed(one) ? ANY_IPV6_ADDRESS : ANY_ADDRESS
  return (
    one.bindAddress === other.bindAddress ||
    [one, other].some(({ bindAddress }) => bindAddress === everywhere)
  )
}

/** Why the socket could not be opened, in words of ports. */
function translate(error: unknown, port: PublishedPort): unknown {
  switch (systemErrorCode(error)) {
    case 'EADDRINUSE':
      return networkErrors.PortInUse({ object: describePort(port), cause: error })
    case 'EADDRNOTAVAIL':
    // A host without IPv6.
    case 'EAFNOSUPPORT':
      return networkErrors.BindAddressMissing({
        object: `${describePort(port)}: ${port.bindAddress}`,
        cause: error,
      })
    default:
      return error
  }
}

export class PublishedPorts {
  readonly #log: Logger
  readonly #held = new Set<Held>()
  /** Ports that could not be had when they were last tried; told once. */
  readonly #missing = new Set<string>()

  constructor(log: Logger) {
    this.#log = log
  }

  /**
   * Takes all ports of a container, or none.
   *
   * @throws `PortInUse`, `BindAddressMissing`
   */
  async take(publisher: Publisher): Promise<void> {
    for (const port of publisher.ports) this.#requireFree(publisher, port)
    try {
      for (const port of publisher.ports) await this.#hold(publisher, port)
    } catch (error) {
      await this.release(publisher)
      throw error
    }
  }

  /**
   * Takes the ports of containers that were attached before this process started, as far as they can be had, and
   * tries again those that could not.
   *
   * @returns how many still cannot
   */
  async retake(publishers: readonly Publisher[]): Promise<number> {
    let missing = 0
    for (const publisher of publishers) {
      for (const port of publisher.ports) {
        if (!(await this.#retakeOne(publisher, port))) missing += 1
      }
    }
    return missing
  }

  /** Whether anything is taken for a container. */
  holdsFor(publisher: Pick<Publisher, 'containerId' | 'interfaceName'>): boolean {
    const owner = attachmentKey(publisher)
    return this.#held.values().some(entry => entry.owner === owner)
  }

  /** Gives up everything that was taken for a container; nothing is fine. */
  async release(publisher: Pick<Publisher, 'containerId' | 'interfaceName'>): Promise<void> {
    const owner = attachmentKey(publisher)
    const held = [...this.#held].filter(entry => entry.owner === owner)
    for (const entry of held) this.#held.delete(entry)
    await Promise.all(held.map(entry => entry.relay?.close()))
  }

  /** Closes every socket. */
  async close(): Promise<void> {
    const held = [...this.#held]
    this.#held.clear()
    await Promise.all(held.map(entry => entry.relay?.close()))
  }

  #requireFree(publisher: Publisher, port: PublishedPort): void {
    const other = [...this.#held].find(entry => overlap(entry.port, port))
    if (other === undefined || other.owner === attachmentKey(publisher)) return
    throw networkErrors.PortInUse({
      object: describePort(port),
      message: `is published by container ${other.containerId}`,
    })
  }

  async #hold(publisher: Publisher, port: PublishedPort): Promise<void> {
    const { containerId, address } = publisher
    const open = port.protocol === 'tcp' ? openTcpRelay : openUdpRelay
    const target = { address, port: port.containerPort }
    // Entered before it is open: of two containers that ask at the same time, one is refused by name.
    const entry: Held = { owner: attachmentKey(publisher), containerId, port, relay: undefined }
    this.#held.add(entry)
    try {
      const relay = await open(port, target, this.#log)
      this.#held.add({ ...entry, relay })
    } catch (error) {
      throw translate(error, port)
    } finally {
      this.#held.delete(entry)
    }
  }

  async #retakeOne(publisher: Publisher, port: PublishedPort): Promise<boolean> {
    const owner = attachmentKey(publisher)
    for (const entry of this.#held) if (entry.owner === owner && overlap(entry.port, port)) return true
    const name = describePort(port)
    try {
      await this.#hold(publisher, port)
      this.#missing.delete(name)
      return true
    } catch (error) {
      if (!this.#missing.has(name)) {
        this.#log.warn(
          { container: publisher.containerId, reason: explainError(error) },
          'a published port is not reachable from this host itself',
        )
      }
      this.#missing.add(name)
      return false
    }
  }
}
