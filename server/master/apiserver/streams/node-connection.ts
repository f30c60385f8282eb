/** Connections to what nodes answer about themselves; nothing else of their hosts is reached. */
import type { Duplex } from 'node:stream'
import { KUBELET_PORT } from '../../../../protocol/index.ts'
import type { OwnIdentity } from '../certificates/index.ts'
import type { Cluster } from '../cluster/index.ts'
import type { Frozen } from '../json.ts'
import type { NodeGateway } from '../nodes.ts'
import type { Node } from '../objects.ts'
import { notFound, StatusError } from '../status.ts'
import { secured } from './secured.ts'

/**
 * Connects to a node by its name: to its kubelet, as who may ask it for everything, or to an agent that does a kubelet's work.
 *
 * @throws `NotFound`, `Forbidden` for another port, `ServiceUnavailable`
 */
export async function connectToNode(
  cluster: Cluster,
  name: string,
  port: string,
  { nodes, kubelets }: { readonly nodes: NodeGateway; readonly kubelets: OwnIdentity },
): Promise<Duplex> {
  const stored = cluster.find('nodes', '', name)
  if (stored === undefined) throw notFound({ group: '', resource: 'nodes' }, name)
  if (port !== '' && port !== String(KUBELET_PORT)) {
    throw new StatusError(
      'Forbidden',
      `only port ${KUBELET_PORT} of a node can be reached, not ${port.slice(0, 20)}`,
    )
  }
  const { status } = cluster.read(stored) as Frozen<Node>
  const hasKubelet = (status?.daemonEndpoints?.kubeletEndpoint?.Port ?? 0) !== 0
  if (!hasKubelet) return await nodes.connectToNode(cluster.id, name)
  const { certificate, privateKey } = await kubelets.of(cluster.id)
  return await secured(await nodes.connectToKubelet(cluster.id, name), { cert: certificate, key: privateKey })
}
