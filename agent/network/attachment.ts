/** A container's connection to the network, as it is kept on disk and told to others. */
import { isIPv6, SocketAddress } from 'node:net'
import {
  type Ipv6Prefix,
  parseIpv4,
  parseIpv6,
  type Static,
  Type,
  validatorOf,
  withIpv6Prefix,
} from '../../kit/index.ts'
import type { CniAttachmentRequest, PortMapping } from '../../netplugins/cni/index.ts'
import { networkErrors } from '../../netplugins/index.ts'
import type { Source } from '../../netplugins/source-guard/index.ts'
import { METADATA_ADDRESS } from '../../protocol/index.ts'

/** Every IPv4 address of the host. */
export const ANY_ADDRESS = '0.0.0.0'

/** Every IPv6 address of the host. */
export const ANY_IPV6_ADDRESS = '::'

/** How IPv4 addresses begin that are written as IPv6 (RFC 4291, 2.5.5.2). */
const MAPPED_PREFIX = Buffer.from('00000000000000000000ffff', 'hex')

const portNumber = Type.Integer({ minimum: 1, maximum: 65535 })

const publishedPortSchema = Type.Object({
  /** The host's address on which it is published; `0.0.0.0` for every one of IPv4, `::` for every one of IPv6. */
  bindAddress: Type.String(),
  hostPort: portNumber,
  containerPort: portNumber,
  protocol: Type.Union([Type.Literal('tcp'), Type.Literal('udp')]),
})

export type PublishedPort = Static<typeof publishedPortSchema>

const attachmentSchema = Type.Object({
  networkName: Type.String(),
  containerId: Type.String(),
  interfaceName: Type.String(),
  /** File of the container's network namespace at the time it was attached. */
  namespace: Type.String(),
  address: Type.String(),
  /** Absent where it has IPv4 alone. */
  address6: Type.Optional(Type.String()),
  mac: Type.String(),
  /** The other end of the container's interface, on the host. */
  hostInterface: Type.String(),
  ports: Type.Array(publishedPortSchema),
  /** Whose interface it is, where the container runtime says so. */
  pod: Type.Optional(Type.Object({ namespace: Type.String(), name: Type.String() })),
  /** On the hosts' own network; absent on the bridge of this host. */
  flat: Type.Optional(
    Type.Object({
      mode: Type.Union([Type.Literal('bridge'), Type.Literal('macvlan')]),
      prefixLength: Type.Integer({ minimum: 0, maximum: 32 }),
      gateway: Type.String(),
      /** Its address is the network's own server's. */
      dhcp: Type.Boolean(),
    }),
  ),
})

/** One interface of one container. */
export type Attachment = Static<typeof attachmentSchema>

export const attachmentValidator = validatorOf(attachmentSchema)

/** The identity of an attachment. */
export function attachmentKey(of: { readonly containerId: string; readonly interfaceName: string }): string {
  return `${of.containerId}/${of.interfaceName}`
}

/**
 * The MAC address that a request asks for, in the kernel's spelling; undefined when it leaves the choice to us.
 *
 * @throws `InvalidCniConfiguration` for what is no address of one interface
 */
export function requestedMac({ mac }: Pick<CniAttachmentRequest, 'mac'>): string | undefined {
  if (mac === undefined) return undefined
  const text = mac.toLowerCase().replaceAll('-', ':')
  const isUnicast = /^[0-9a-f][02468ace](:[0-9a-f]{2}){5}$/.test(text) && text !== '00:00:00:00:00:00'
  if (isUnicast) return text
  throw networkErrors.InvalidCniConfiguration({
    object: 'mac',
    message: `${JSON.stringify(mac)} is not the MAC address of an interface`,
    expected: 'six octets such as 02:00:01:aa:bb:cc, the first of them even',
  })
}

/**
 * Under which addresses the container may send; with an address of a server's, also under none, to renew it.
 *
 * @param gatewayMac of the bridge, by way of which all IPv6 goes
 */
export function sourcesOf(
  { hostInterface, mac, address, address6, flat }: Attachment,
  gatewayMac: string,
): [Source, ...Source[]] {
  const source = { link: hostInterface, mac, address }
  const isRenewed = flat?.dhcp === true && address !== ANY_ADDRESS
  return [
    source,
    ...(isRenewed ? [{ ...source, address: ANY_ADDRESS }] : []),
    ...(address6 === undefined ? [] : [{ ...source, address: address6, gatewayMac }]),
  ]
}

/**
 * The container's IPv6 address as far as it counts: the prefix may be another one since it was attached, or none, and the
 * container keeps what it was given until it is made again.
 */
export function countingAddress6(
  { address, address6 }: Pick<Attachment, 'address' | 'address6'>,
  prefix: Ipv6Prefix | undefined,
): string | undefined {
  if (address6 === undefined || prefix === undefined) return undefined
  return address6 === withIpv6Prefix(prefix, address) ? address6 : undefined
}

/** The attachment without an IPv6 address that does not count. */
export function withCountingAddress6(attachment: Attachment, prefix: Ipv6Prefix | undefined): Attachment {
  const { address6, ...rest } = attachment
  return address6 === undefined || countingAddress6(attachment, prefix) !== undefined ? attachment : rest
}

/** How a user would name a published port. */
export function describePort(port: PublishedPort): string {
  const { bindAddress } = port
  const address = isIPv6(bindAddress) ? `[${bindAddress}]` : bindAddress
  const where = bindAddress === ANY_ADDRESS ? '' : `${address}:`
  return `port ${where}${port.hostPort}/${port.protocol}`
}

function isLoopback(address: string): boolean {
  return address.startsWith('127.')
}

/**
 * Published on IPv6. Not every container has an IPv6 address to which the kernel could lead packets: a socket of the agent
 * serves everybody.
 */
export function isRelayed({ bindAddress }: PublishedPort): boolean {
  return isIPv6(bindAddress)
}

/** An address as the kernel spells it; undefined for what a socket of its kind cannot be bound to. */
function readBindAddress(text: string): string | undefined {
  if (parseIpv4(text) !== undefined) return text === METADATA_ADDRESS ? undefined : text
  const bytes = parseIpv6(text)
  // IPv4 addresses in another spelling.
  if (bytes === undefined || bytes.subarray(0, 12).equals(MAPPED_PREFIX)) return undefined
  return new SocketAddress({ address: text, family: 'ipv6' }).address
}

/** Published where only processes of the host itself can reach it. */
export function isLoopbackOnly(port: PublishedPort): boolean {
  return isLoopback(port.bindAddress)
}

function readPort(mapping: PortMapping): PublishedPort {
  const protocol = (mapping.protocol ?? 'tcp').toLowerCase()
  const wanted = mapping.hostIP === undefined || mapping.hostIP === '' ? ANY_ADDRESS : mapping.hostIP
  const bindAddress = readBindAddress(wanted)
  const object = `port ${mapping.hostPort}/${protocol}`
  if (protocol !== 'tcp' && protocol !== 'udp') {
    throw networkErrors.UnsupportedCniField({
      object,
      message: 'has a protocol that cannot be published',
      expected: 'tcp or udp',
    })
  }
  if (bindAddress === undefined) {
    throw networkErrors.UnsupportedCniField({
      object,
      message: `cannot be published on ${wanted.slice(0, 80)}`,
      expected: 'an IPv4 or IPv6 address of this host',
    })
  }
  return { bindAddress, hostPort: mapping.hostPort, containerPort: mapping.containerPort, protocol }
}

/**
 * The ports that a request asks to publish.
 *
 * @throws `UnsupportedCniField` for other protocols than TCP and UDP, for what is no address, and for a host port that
 *   is to lead to two container ports
 */
export function requestedPorts(request: CniAttachmentRequest): PublishedPort[] {
  const ports = new Map<string, PublishedPort>()
  for (const port of request.portMappings.map(readPort)) {
    const name = describePort(port)
    const other = ports.get(name)
    if (other !== undefined && other.containerPort !== port.containerPort) {
      throw networkErrors.UnsupportedCniField({
        object: name,
        message: `cannot lead to both ${other.containerPort} and ${port.containerPort} of the container`,
      })
    }
    ports.set(name, port)
  }
  return [...ports.values()]
}
