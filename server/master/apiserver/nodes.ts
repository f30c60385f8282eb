/** The way to the nodes: what the agents of a cluster's hosts do for its API. */
import type { Duplex, Readable } from 'node:stream'
import type { ContainerCommand, PodConnection } from '../../../protocol/index.ts'

/** Options of the log subresource (`PodLogOptions`). */
export interface LogOptions {
  readonly follow: boolean
  /** The log of the container's instance before this one. */
  readonly previous: boolean
  readonly timestamps: boolean
  readonly tailLines?: number
  readonly sinceSeconds?: number
  /** RFC 3339. */
  readonly sinceTime?: string
  readonly limitBytes?: number
}

export interface ContainerLogRequest {
  readonly namespace: string
  readonly pod: string
  readonly uid: string
  readonly container: string
  readonly options: LogOptions
}

export interface NodeGateway {
  /**
   * Opens the log of a container on its node.
   *
   * The stream is the log's plain text. Destroying it ends the reading on the node. Rejects with a `DroverError` when
   * the node is not connected, does not have the container, or does not answer within a deadline of the gateway.
   */
  containerLogs(cluster: string, node: string, request: ContainerLogRequest): Promise<Readable>

  /**
   * Runs a command in a container of a pod, or attaches to it. Both directions are frames (protocol/frames.ts) whose kind
   * is a channel (protocol/remote-command.ts); the last one from the node says how it ended. Rejects as `containerLogs`.
   */
  runCommand(cluster: string, node: string, request: ContainerCommand): Promise<Duplex>

  /** Connects to a port inside of a pod: plain bytes both ways. Rejects as `containerLogs`. */
  connectToPod(cluster: string, node: string, request: PodConnection): Promise<Duplex>

  /**
   * Connects to what a node answers about itself, as a kubelet does: HTTP/1.1 over the connection. Rejects as
   * `containerLogs`.
   */
  connectToNode(cluster: string, node: string): Promise<Duplex>

  /** Connects to the kubelet that runs the pods of a host: TLS over the connection. Rejects as `containerLogs`. */
  connectToKubelet(cluster: string, node: string): Promise<Duplex>
}
