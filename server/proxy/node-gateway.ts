/** Reaches the nodes of clusters through the connections of their agents, never by an address. */
import type { Duplex, Readable } from 'node:stream'
import { type ContainerCommand, type PodConnection, protocolErrors } from '../../protocol/index.ts'
import type { Model } from '../model/index.ts'
import type { AgentLinks } from './agent-links.ts'

export class NodeGateway {
  readonly #model: Model
  readonly #links: AgentLinks

  constructor(model: Model, links: AgentLinks) {
    this.#model = model
    this.#links = links
  }

  /**
   * The log of a pod's container, as its node has it.
   *
   * @param request what the agent needs to find the container and to choose from its log
   * @throws `HostNotConnected`
   */
  async containerLogs(clusterId: string, nodeName: string, request: unknown): Promise<Readable> {
    return this.#open(clusterId, nodeName, 'pod-logs', request)
  }

  /** Runs a command in a container, or attaches to it: frames of channels both ways. @throws `HostNotConnected` */
  async runCommand(clusterId: string, nodeName: string, request: ContainerCommand): Promise<Duplex> {
    return this.#open(clusterId, nodeName, request.command.length === 0 ? 'pod-attach' : 'pod-exec', request)
  }

  /** Connects to a port inside of a pod. @throws `HostNotConnected` */
  async connectToPod(clusterId: string, nodeName: string, request: PodConnection): Promise<Duplex> {
    return this.#open(clusterId, nodeName, 'pod-connect', request)
  }

  /** Connects to what a node answers about itself: HTTP. @throws `HostNotConnected` */
  async connectToNode(clusterId: string, nodeName: string): Promise<Duplex> {
    return this.#open(clusterId, nodeName, 'node-api', {})
  }

  /** Connects to the kubelet of a host: HTTPS, as the kubelet itself speaks it. @throws `HostNotConnected` */
  async connectToKubelet(clusterId: string, nodeName: string): Promise<Duplex> {
    return this.#open(clusterId, nodeName, 'kubelet-api', {})
  }

  #open(clusterId: string, nodeName: string, kind: string, request: unknown): Duplex {
    const host = this.#model.hosts.find('node', `${clusterId}/${nodeName}`)
    if (host === undefined) throw protocolErrors.HostNotConnected({ object: `node ${nodeName}` })
    return this.#links.require(host.id).openStream(kind, request)
  }
}
