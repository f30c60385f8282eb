/** What is recorded of an attachment, and what the container runtime is told of it. */
import { createHash } from 'node:crypto'
import { withIpv6Prefix } from '../../kit/index.ts'
import { hostInterfaceName, macOfAddress } from '../../netplugins/bridge/index.ts'
import type { CniAttachmentRequest, CniResult } from '../../netplugins/cni/index.ts'
import { FLAT_BRIDGE } from '../../netplugins/flat/index.ts'
import { networkErrors } from '../../netplugins/index.ts'
import { ANY_ADDRESS, type Attachment, countingAddress6, requestedMac } from './attachment.ts'
import { IPV6_MINIMUM_MTU, type NetworkPlan } from './settings.ts'

/** First octet of MAC addresses that stand for no IPv4 address: locally administered. */
const MAC_PREFIX = '06'

/** A DHCP server knows its clients by it: the same container must come with the same one. */
function macOfContainer(containerId: string, interfaceName: string): string {
  const hash = createHash('sha256').update(`${containerId}/${interfaceName}`).digest('hex').slice(0, 10)
  return [MAC_PREFIX, ...(hash.match(/../g) ?? [])].join(':')
}

/** @throws `InvalidCniEnvironment` without a namespace, `InvalidCniConfiguration` for a MAC address that is none */
export function describeAttachment(
  request: CniAttachmentRequest,
  plan: NetworkPlan,
  { address, ports }: Pick<Attachment, 'address' | 'ports'>,
): Attachment {
  const { containerId, interfaceName, namespace, networkName } = request
  const { network, subnet, ipv6Prefix } = plan
  const hasIpv6 = ipv6Prefix !== undefined && mtuOf(request, plan) >= IPV6_MINIMUM_MTU
  if (namespace === undefined) {
    throw networkErrors.InvalidCniEnvironment({ object: 'CNI_NETNS', message: 'must be set' })
  }
  const derived = address === ANY_ADDRESS ? macOfContainer(containerId, interfaceName) : macOfAddress(address)
  return {
    networkName,
    containerId,
    interfaceName,
    namespace,
    address,
    ...(hasIpv6 ? { address6: withIpv6Prefix(ipv6Prefix, address) } : {}),
    mac: requestedMac(request) ?? derived,
    hostInterface: hostInterfaceName(containerId, interfaceName),
    ports,
    ...(request.pod === undefined ? {} : { pod: request.pod }),
    ...flatRecord(network, subnet.prefixLength),
  }
}

function flatRecord(
  { kind, options }: NetworkPlan['network'],
  prefixLength: number,
): Pick<Attachment, 'flat'> {
  if (kind !== 'flat' || options.flat === undefined) return {}
  const { mode, gateway, dhcp } = options.flat
  return { flat: { mode, prefixLength, gateway, dhcp } }
}

/** Smallest MTU of IPv4 links (RFC 791). */
const SMALLEST_MTU = 68

/** Of the container's interface on the host's own bridge, in bytes. */
export function mtuOf({ mtuOverhead }: CniAttachmentRequest, { bridge }: NetworkPlan): number {
  return Math.max(bridge.mtu - mtuOverhead, SMALLEST_MTU)
}

/** What the result says of a container's addresses, now. */
export function addressesOf(
  attachment: Attachment,
  { bridge, ipv6Prefix }: NetworkPlan,
): { readonly address: string; readonly gateway: string; readonly defaultRoute: string }[] {
  const { gateway, prefixLength } = attachment.flat ?? bridge
  const ipv4 = { address: `${attachment.address}/${prefixLength}`, gateway, defaultRoute: '0.0.0.0/0' }
  const address6 = countingAddress6(attachment, ipv6Prefix)
  if (address6 === undefined || bridge.ipv6 === undefined) return [ipv4]
  return [ipv4, { address: `${address6}/128`, gateway: bridge.ipv6.address, defaultRoute: '::/0' }]
}

/** @param mtu of the container's interface, in bytes */
export function resultOf(
  attachment: Attachment,
  plan: NetworkPlan,
  { bridgeName, mtu }: { readonly bridgeName: string; readonly mtu: number },
): CniResult {
  const { flat, interfaceName, mac, namespace } = attachment
  const { bridge, settings } = plan
  const addresses = addressesOf(attachment, plan)
  const ownBridge = flat === undefined ? { name: bridgeName, mac: bridge.mac } : { name: FLAT_BRIDGE }
  const onHost = flat?.mode === 'macvlan' ? [] : [ownBridge, { name: attachment.hostInterface }]
  return {
    interfaces: [...onHost, { name: interfaceName, mac, mtu, sandbox: namespace }],
    ips: addresses.map(({ address, gateway }) => ({ address, gateway, interface: onHost.length })),
    routes: addresses.map(({ defaultRoute, gateway }) => ({ dst: defaultRoute, gw: gateway })),
    dns: { nameservers: [settings.metadata.address] },
  }
}
