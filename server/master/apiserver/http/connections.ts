/** What admission webhooks are told of connections to objects: commands, forwarded ports, proxies. */
import type { Identity } from '../access/index.ts'
import type { Cluster } from '../cluster/index.ts'
import type { JsonObject } from '../json.ts'
import { admitConnection } from '../operations/index.ts'
import { flag } from './query.ts'
import type { ResourceTarget } from './route.ts'

/** Options of a connection as objects, from its query (`PodExecOptions`, …). @throws `BadRequest` */
function optionsOf(kind: string, target: ResourceTarget, query: URLSearchParams): JsonObject {
  if (kind === 'proxy') return { path: target.proxied ?? '/' }
  if (kind === 'portforward') {
    const ports = query.getAll('ports').flatMap(text => text.split(','))
    return ports.length === 0 ? {} : { ports: ports.map(Number).filter(Number.isSafeInteger) }
  }
  const flags = ['stdin', 'stdout', 'stderr', 'tty'].flatMap(name =>
    flag(query, name) === true ? [[name, true] as const] : [],
  )
  const container = query.get('container') ?? ''
  return {
    ...Object.fromEntries(flags),
    ...(container === '' ? {} : { container }),
    ...(kind === 'exec' ? { command: query.getAll('command') } : {}),
  }
}

export interface Connecting {
  readonly cluster: Cluster
  readonly identity: Identity
  /** One with a subresource. */
  readonly target: ResourceTarget
  readonly query: URLSearchParams
  readonly warn: (text: string) => void
}

/** Asks the admission webhooks about a connection. @throws their refusals, `BadRequest` */
export async function requireAdmitted({ cluster, identity, target, query, warn }: Connecting): Promise<void> {
  if (cluster.webhooks.isEmpty) return
  const { resource, namespace, name, subresource } = target
  const kind = subresource?.name ?? ''
  await admitConnection(
    { cluster, resource, identity, dryRun: false, fieldValidation: 'Ignore', warn },
    { subresource: kind, namespace, name },
    optionsOf(kind, target, query),
  )
}
