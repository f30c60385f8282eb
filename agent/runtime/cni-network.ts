/** Connects containers through CNI, as any container runtime would. */
import { isIPv6 } from 'node:net'
import type { CniRuntime } from '../../netplugins/cni/index.ts'
import { runtimeErrors } from './errors.ts'
import type { AttachRequest, NetworkAttachment, PodNetwork } from './pod-network.ts'

/** What is known of the host's attachments; the part of the network that is asked, not told. */
export interface KnownAttachments {
  attachments(): readonly {
    readonly containerId: string
    readonly interfaceName: string
    readonly address: string
    /** Its IPv6 address, where it has one. */
    readonly address6?: string
    readonly mac: string
  }[]
}

/** The address of what is written with the length of its network. */
function withoutLength({ address }: { readonly address: string }): string {
  return address.split('/')[0] ?? ''
}

function describe(ip: string, ip6: string | undefined, macAddress: string): NetworkAttachment {
  return { ip, macAddress, ...(ip6 === undefined ? {} : { ip6 }) }
}

/** The interface of a pod. */
const POD_INTERFACE = 'eth0'

export class CniPodNetwork implements PodNetwork {
  readonly #cni: CniRuntime
  readonly #known: KnownAttachments

  constructor(cni: CniRuntime, known: KnownAttachments) {
    this.#cni = cni
    this.#known = known
  }

  async attach(request: AttachRequest): Promise<NetworkAttachment> {
    const result = await this.#cni.add({
      containerId: request.containerId,
      namespace: request.networkNamespace,
      interfaceName: request.interfaceName ?? POD_INTERFACE,
      portMappings: request.ports.map(port => ({
        hostPort: port.hostPort,
        containerPort: port.containerPort,
        protocol: port.protocol,
        ...(port.hostAddress === undefined ? {} : { hostIP: port.hostAddress }),
      })),
      ...(request.address === undefined ? {} : { address: request.address }),
      ...(request.mac === undefined ? {} : { mac: request.mac }),
      ...(request.bandwidth === undefined ? {} : { bandwidth: request.bandwidth }),
      ...(request.arguments === undefined ? {} : { arguments: request.arguments }),
    })
    const [first, ...others] = result.ips ?? []
    if (first === undefined) {
      throw runtimeErrors.SandboxFailed({
        object: `container ${request.containerId}`,
        message: 'got no address',
      })
    }
    const mac = first.interface === undefined ? undefined : result.interfaces?.[first.interface]?.mac
    const second = others.map(withoutLength).find(address => isIPv6(address))
    return describe(withoutLength(first), second, mac ?? '')
  }

  async detach(containerId: string): Promise<void> {
    const known = this.#attachments().filter(attachment => attachment.containerId === containerId)
    // Also what is not known any more is deleted: its removal may have begun elsewhere, and is waited for like this.
    for (const interfaceName of new Set([
      POD_INTERFACE,
      ...known.map(attachment => attachment.interfaceName),
    ])) {
      await this.#cni.delete({ containerId, interfaceName })
    }
  }

  attachment(containerId: string): NetworkAttachment | undefined {
    const found = this.#attachments().find(attachment => attachment.containerId === containerId)
    return found && describe(withoutLength(found), found.address6, found.mac)
  }

  /** The host's own network knows what it made; the runtime remembers what plugins of others made. */
  #attachments(): readonly ReturnType<KnownAttachments['attachments']>[number][] {
    return [...this.#known.attachments(), ...this.#cni.attachmentsByOthers()]
  }
}
