/** Reaches the nodes of clusters through the connections of their agents, never by an address. */
import type { Readable } from 'node:stream'
import { protocolErrors } from '../../protocol/index.ts'
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
    const host = this.#model.hosts.find('node', `${clusterId}/${nodeName}`)
    if (host === undefined) throw protocolErrors.HostNotConnected({ object: `node ${nodeName}` })
    return this.#links.require(host.id).openStream('pod-logs', request)
  }
}
