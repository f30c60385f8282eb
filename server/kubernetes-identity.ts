/** Who a holder of Drover's credentials is to the Kubernetes API of a cluster. */
import type { Authenticator } from './auth/index.ts'
import type { Credentials, Identity } from './master/index.ts'
import { COMPONENT_GROUPS, MASTERS_GROUP, NODES_GROUP } from './master/index.ts'
import type { Model } from './model/index.ts'

/** @returns undefined for credentials that mean nothing in this cluster */
export async function kubernetesIdentity(
  authenticator: Authenticator,
  model: Model,
  clusterId: string,
  credentials: Credentials,
): Promise<Identity | undefined> {
  if (credentials.bearerToken === undefined) return undefined
  const principal = authenticator.identify(`Bearer ${credentials.bearerToken}`)
  switch (principal?.kind) {
    case 'admin':
      return { user: `drover:${principal.name}`, uid: principal.keyId, groups: [MASTERS_GROUP] }
    case 'agent': {
      const host = model.hosts.get(principal.hostId)
      if (principal.clusterId !== clusterId || host === undefined) return undefined
      return { user: `system:node:${host.nodeName}`, uid: host.uuid, groups: [NODES_GROUP] }
    }
    case 'component':
      return { user: `system:drover:${principal.name}`, groups: [COMPONENT_GROUPS.netes] }
    default:
      return undefined
  }
}
