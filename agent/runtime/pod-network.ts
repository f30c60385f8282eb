/** What the runtime needs from the host's network. */

/** A container's place in the network. */
export interface NetworkAttachment {
  readonly ip: string
  readonly macAddress: string
}

export interface AttachRequest {
  /** Docker's id of the sandbox. */
  readonly containerId: string
  /** Path of its network namespace. */
  readonly networkNamespace: string
  readonly podName: string
  readonly podNamespace: string
  readonly podUid: string
  readonly ports: readonly {
    readonly hostPort: number
    readonly containerPort: number
    readonly protocol: 'tcp' | 'udp'
    readonly hostAddress: string | undefined
  }[]
}

export interface PodNetwork {
  /** Connects a sandbox; connecting one again that is connected gives the same answer. */
  attach(request: AttachRequest): Promise<NetworkAttachment>
  /** Disconnects a sandbox and frees what it had; one that is gone is fine. */
  detach(containerId: string): Promise<void>
  attachment(containerId: string): NetworkAttachment | undefined
}
