/** What is recorded of an attachment, and what the container runtime is told of it. */
import { createHash } from 'node:crypto'
import { hostInterfaceName, macOfAddress } from '../../netplugins/bridge/index.ts'
import type { CniAttachmentRequest, CniResult } from '../../netplugins/cni/index.ts'
import { FLAT_BRIDGE } from '../../netplugins/flat/index.ts'
import { networkErrors } from '../../netplugins/index.ts'
import { ANY_ADDRESS, type Attachment, requestedMac } from './attachment.ts'
import type { NetworkPlan } from './settings.ts'

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
  { network, subnet }: NetworkPlan,
  { address, ports }: Pick<Attachment, 'address' | 'ports'>,
): Attachment {
  const { containerId, interfaceName, namespace, networkName } = request
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

export function prefixLengthOf({ flat }: Attachment, { bridge }: NetworkPlan): number {
  return (flat ?? bridge).prefixLength
}

/** @param mtu of the container's interface, in bytes */
export function resultOf(
  attachment: Attachment,
  { bridge, settings }: NetworkPlan,
  { bridgeName, mtu }: { readonly bridgeName: string; readonly mtu: number },
): CniResult {
  const { flat, interfaceName, mac, namespace, address } = attachment
  const { gateway, prefixLength } = flat ?? bridge
  const ownBridge = flat === undefined ? { name: bridgeName, mac: bridge.mac } : { name: FLAT_BRIDGE }
  const onHost = flat?.mode === 'macvlan' ? [] : [ownBridge, { name: attachment.hostInterface }]
  return {
    interfaces: [...onHost, { name: interfaceName, mac, mtu, sandbox: namespace }],
    ips: [{ address: `${address}/${prefixLength}`, gateway, interface: onHost.length }],
    routes: [{ dst: '0.0.0.0/0', gw: gateway }],
    dns: { nameservers: [settings.metadata.address] },
  }
}
