/** How `kubectl get` shows nodes, services, events and the plainer kinds. */
import type { Frozen } from '../json.ts'
import type {
  ConfigMap,
  Event,
  KubernetesObject,
  Lease,
  Namespace,
  Node,
  Secret,
  Service,
  ServiceAccount,
} from '../objects.ts'
import { AGE_COLUMN, NAME_COLUMN, numberColumn, type Printer, textColumn, wide } from './column.ts'
import { since } from './duration.ts'

const ROLE_PREFIX = 'node-role.kubernetes.io/'
const ROLE_LABEL = 'kubernetes.io/role'

function joined(items: readonly string[]): string {
  return items.length === 0 ? '<none>' : items.join(',')
}

/** For kinds without columns of their own. */
export const plainPrinter: Printer = {
  columns: [NAME_COLUMN, AGE_COLUMN],
  cells: (object: Frozen<KubernetesObject>, now) => [
    object.metadata.name,
    since(object.metadata.creationTimestamp, now),
  ],
}

export const namespacePrinter: Printer<Namespace> = {
  columns: [NAME_COLUMN, textColumn('Status', 'Active or Terminating.'), AGE_COLUMN],
  cells: (namespace, now) => [
    namespace.metadata.name,
    namespace.status.phase ?? '',
    since(namespace.metadata.creationTimestamp, now),
  ],
}

function nodeStatus(node: Frozen<Node>): string {
  const ready = node.status.conditions?.find(condition => condition.type === 'Ready')
  const words = [ready === undefined ? 'Unknown' : ready.status === 'True' ? 'Ready' : 'NotReady']
  if (node.spec.unschedulable === true) words.push('SchedulingDisabled')
  return words.join(',')
}

function nodeRoles(node: Frozen<Node>): string {
  const roles = Object.entries(node.metadata.labels ?? {}).flatMap(([key, value]) => {
    if (key.startsWith(ROLE_PREFIX) && key !== ROLE_PREFIX) return [key.slice(ROLE_PREFIX.length)]
    return key === ROLE_LABEL && value !== '' ? [value] : []
  })
  return joined([...new Set(roles)].sort())
}

function nodeAddress(node: Frozen<Node>, type: string): string {
  return node.status.addresses?.find(address => address.type === type)?.address ?? '<none>'
}

function known(text: string | undefined): string {
  return text === undefined || text === '' ? '<unknown>' : text
}

export const nodePrinter: Printer<Node> = {
  columns: [
    NAME_COLUMN,
    textColumn('Status', 'Whether the node is ready.'),
    textColumn('Roles', 'Roles of the node.'),
    AGE_COLUMN,
    textColumn('Version', 'Version of the node agent.'),
    wide(textColumn('Internal-IP', 'Address inside the cluster.')),
    wide(textColumn('External-IP', 'Address outside the cluster.')),
    wide(textColumn('OS-Image', 'Operating system.')),
    wide(textColumn('Kernel-Version', 'Kernel version.')),
    wide(textColumn('Container-Runtime', 'Container runtime and its version.')),
  ],
  cells: (node, now) => [
    node.metadata.name,
    nodeStatus(node),
    nodeRoles(node),
    since(node.metadata.creationTimestamp, now),
    node.status.nodeInfo?.kubeletVersion ?? '',
    nodeAddress(node, 'InternalIP'),
    nodeAddress(node, 'ExternalIP'),
    known(node.status.nodeInfo?.osImage),
    known(node.status.nodeInfo?.kernelVersion),
    known(node.status.nodeInfo?.containerRuntimeVersion),
  ],
}

function serviceExternalAddress({ spec, status }: Frozen<Service>): string {
  const external = [...(spec.externalIPs ?? [])]
  switch (spec.type) {
    case 'LoadBalancer': {
      const ingress = (status.loadBalancer?.ingress ?? []).map(entry => entry.ip ?? entry.hostname ?? '')
      const all = [...ingress, ...external]
      return all.length === 0 ? '<pending>' : all.join(',')
    }
    case 'ExternalName':
      return spec.externalName ?? ''
    default:
      return joined(external)
  }
}

export const servicePrinter: Printer<Service> = {
  columns: [
    NAME_COLUMN,
    textColumn('Type', 'How the service is reached.'),
    textColumn('Cluster-IP', 'Address inside the cluster.'),
    textColumn('External-IP', 'Addresses outside the cluster.'),
    textColumn('Port(s)', 'Ports, node ports and protocols.'),
    AGE_COLUMN,
    wide(textColumn('Selector', 'Labels of the pods behind the service.')),
  ],
  cells: (service, now) => [
    service.metadata.name,
    service.spec.type,
    service.spec.clusterIP ?? '<none>',
    serviceExternalAddress(service),
    joined(
      (service.spec.ports ?? []).map(({ port, nodePort, protocol }) =>
        nodePort === undefined || nodePort === 0 ? `${port}/${protocol}` : `${port}:${nodePort}/${protocol}`,
      ),
    ),
    since(service.metadata.creationTimestamp, now),
    joined(
      Object.entries(service.spec.selector ?? {})
        .map(([key, value]) => `${key}=${value}`)
        .sort(),
    ),
  ],
}

export const configMapPrinter: Printer<ConfigMap> = {
  columns: [NAME_COLUMN, numberColumn('Data', 'How many entries.'), AGE_COLUMN],
  cells: (map, now) => [
    map.metadata.name,
    Object.keys(map.data ?? {}).length + Object.keys(map.binaryData ?? {}).length,
    since(map.metadata.creationTimestamp, now),
  ],
}

export const secretPrinter: Printer<Secret> = {
  columns: [
    NAME_COLUMN,
    textColumn('Type', 'What the secret is for.'),
    numberColumn('Data', 'How many entries.'),
    AGE_COLUMN,
  ],
  cells: (secret, now) => [
    secret.metadata.name,
    secret.type,
    Object.keys(secret.data ?? {}).length,
    since(secret.metadata.creationTimestamp, now),
  ],
}

export const serviceAccountPrinter: Printer<ServiceAccount> = {
  columns: [NAME_COLUMN, numberColumn('Secrets', 'How many secrets it may use.'), AGE_COLUMN],
  cells: (account, now) => [
    account.metadata.name,
    account.secrets?.length ?? 0,
    since(account.metadata.creationTimestamp, now),
  ],
}

export const leasePrinter: Printer<Lease> = {
  columns: [NAME_COLUMN, textColumn('Holder', 'Who holds the lease.'), AGE_COLUMN],
  cells: (lease, now) => [
    lease.metadata.name,
    lease.spec.holderIdentity ?? '',
    since(lease.metadata.creationTimestamp, now),
  ],
}

function eventSource({ source, reportingComponent, reportingInstance }: Frozen<Event>): string {
  const component = source?.component ?? reportingComponent ?? ''
  const host = source?.host ?? reportingInstance ?? ''
  return host === '' ? component : `${component}, ${host}`
}

export const eventPrinter: Printer<Event> = {
  columns: [
    textColumn('Last Seen', 'Time since it happened last.'),
    textColumn('Type', 'Normal or Warning.'),
    textColumn('Reason', 'Why, in one word.'),
    textColumn('Object', 'What it happened to.'),
    wide(textColumn('Subobject', 'The part that it happened to.')),
    wide(textColumn('Source', 'Who saw it.')),
    textColumn('Message', 'What happened.'),
    wide(textColumn('First Seen', 'Time since it happened first.')),
    wide(numberColumn('Count', 'How often it happened.')),
    wide({ ...NAME_COLUMN, description: 'Name of the event.' }),
  ],
  cells(event, now) {
    const first = since(event.firstTimestamp ?? event.eventTime, now)
    const last = event.series?.lastObservedTime ?? event.lastTimestamp
    const { kind = '', name = '', fieldPath = '' } = event.involvedObject
    return [
      last === undefined ? first : since(last, now),
      event.type ?? '',
      event.reason ?? '',
      name === '' ? kind.toLowerCase() : `${kind.toLowerCase()}/${name}`,
      fieldPath,
      eventSource(event),
      (event.message ?? '').trim(),
      first,
      event.series?.count ?? Math.max(1, event.count ?? 0),
      event.metadata.name,
    ]
  },
}
