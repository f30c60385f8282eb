/** What the runtime needs from the host's network. */

/** A container's place in the network. */
export interface NetworkAttachment {
  readonly ip: string
  /** Its IPv6 address, where it has one. */
  readonly ip6?: string
  readonly macAddress: string
}

export interface AttachRequest {
  /** Docker's id of the container whose namespace it is. */
  readonly containerId: string
  /** Path of its network namespace. */
  readonly networkNamespace: string
  /** `eth0` when absent. */
  readonly interfaceName?: string
  /** An address that it must get. */
  readonly address?: string
  readonly mac?: string
  /** Bits per second. */
  readonly bandwidth?: { readonly ingressRate?: number; readonly egressRate?: number }
  /** Whose it is, for CNI plugins that want to know: `K8S_POD_NAME`, … */
  readonly arguments?: Readonly<Record<string, string>>
  readonly ports: readonly {
    readonly hostPort: number
    readonly containerPort: number
    readonly protocol: 'tcp' | 'udp'
    readonly hostAddress: string | undefined
  }[]
}

export interface PodNetwork {
  /** Connects a container. */
  attach(request: AttachRequest): Promise<NetworkAttachment>
  /** Disconnects a container and frees what it had; one that is gone is fine. */
  detach(containerId: string): Promise<void>
  attachment(containerId: string): NetworkAttachment | undefined
}
