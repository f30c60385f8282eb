/**
 * The way to pods whose containers an agent does not see, because a kubelet runs them on another runtime than the host's Docker:
 * the kubelet is asked, over its agent's connection. All others are their agent's.
 */
import type { Duplex, Readable } from 'node:stream'
import type { Logger } from '../../../../kit/index.ts'
import type { ContainerCommand, PodConnection } from '../../../../protocol/index.ts'
import { MASTERS_GROUP } from '../access/index.ts'
import type { OwnIdentity, Subject } from '../certificates/index.ts'
import type { Cluster } from '../cluster/index.ts'
import type { Frozen } from '../json.ts'
import type { ContainerLogRequest, LogOptions, NodeGateway } from '../nodes.ts'
import type { Node } from '../objects.ts'
import { secured } from '../streams/index.ts'
import { readFromKubelet } from './kubelet-request.ts'
import { connectAtKubelet, podPath, runAtKubelet } from './kubelet-streams.ts'

/** Who kubelets are asked as: they ask this server for everybody's rights, and this one has all of them. */
export const KUBELET_CLIENT: Subject = {
  commonName: 'kube-apiserver-kubelet-client',
  organizations: [MASTERS_GROUP],
}

export interface KubeletGatewayOptions {
  readonly agents: NodeGateway
  /** Who kubelets are asked as. */
  readonly identity: OwnIdentity
  readonly openCluster: (id: string) => Promise<Cluster | undefined>
  readonly log: Logger
}

/** Docker's containers are seen by the agent, with less in between. */
function isSeenByAgent({ status }: Frozen<Node>): boolean {
  if ((status?.daemonEndpoints?.kubeletEndpoint?.Port ?? 0) === 0) return true
  return status?.nodeInfo?.containerRuntimeVersion?.startsWith('docker://') !== false
}

function logQuery(options: LogOptions): URLSearchParams {
  const given = Object.entries(options).filter(([, value]) => value !== undefined && value !== false)
  return new URLSearchParams(given.map(([name, value]) => [name, String(value)]))
}

export class KubeletGateway implements NodeGateway {
  readonly #options: KubeletGatewayOptions

  constructor(options: KubeletGatewayOptions) {
    this.#options = options
  }

  async containerLogs(cluster: string, node: string, request: ContainerLogRequest): Promise<Readable> {
    if (await this.#isSeenByAgent(cluster, node))
      return await this.#options.agents.containerLogs(cluster, node, request)
    const path = `${podPath('containerLogs', request, request.container)}?${logQuery(request.options)}`
    return await readFromKubelet(await this.#connect(cluster, node), path)
  }

  async runCommand(cluster: string, node: string, request: ContainerCommand): Promise<Duplex> {
    const { agents, log } = this.#options
    if (await this.#isSeenByAgent(cluster, node)) return await agents.runCommand(cluster, node, request)
    return await runAtKubelet(await this.#connect(cluster, node), request, log)
  }

  async connectToPod(cluster: string, node: string, request: PodConnection): Promise<Duplex> {
    const { agents, log } = this.#options
    if (await this.#isSeenByAgent(cluster, node)) return await agents.connectToPod(cluster, node, request)
    return await connectAtKubelet(await this.#connect(cluster, node), request, log)
  }

  async connectToNode(cluster: string, node: string): Promise<Duplex> {
    return await this.#options.agents.connectToNode(cluster, node)
  }

  async connectToKubelet(cluster: string, node: string): Promise<Duplex> {
    return await this.#options.agents.connectToKubelet(cluster, node)
  }

  async #isSeenByAgent(cluster: string, name: string): Promise<boolean> {
    const opened = await this.#options.openCluster(cluster)
    const stored = opened?.find('nodes', '', name)
    if (opened === undefined || stored === undefined) return true
    return isSeenByAgent(opened.read(stored) as Frozen<Node>)
  }

  async #connect(cluster: string, node: string): Promise<Duplex> {
    const { agents, identity } = this.#options
    const { certificate, privateKey } = await identity.of(cluster)
    return await secured(await agents.connectToKubelet(cluster, node), { cert: certificate, key: privateKey })
  }
}
