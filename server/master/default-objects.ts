/** What every cluster holds from the start. */
import { CLIENT_AUTHORITY, HOST_VOLUME } from '../../protocol/index.ts'
import {
  API_SERVICES,
  CLUSTER_ROLE_BINDINGS,
  CLUSTER_ROLES,
  type ClusterClient,
  CONFIG_MAPS,
  type Draft,
  ENDPOINT_SLICES,
  type EndpointSlice,
  type Frozen,
  IDENTITY_HEADERS,
  KUBERNETES_SERVICE_ADDRESS,
  type KubernetesObject,
  NAMESPACES,
  PRIORITY_CLASSES,
  type ResourceReference,
  ROLES,
  SERVICE_ACCOUNTS,
  SERVICES,
  STORAGE_CLASSES,
  StatusError,
} from './apiserver/index.ts'
import { authorityMap } from './controllers/index.ts'
import { DEFAULT_ROLE_BINDINGS, DEFAULT_ROLES, EXTENSION_READER } from './default-roles.ts'
import { localApiServices } from './local-api-services.ts'

const DEFAULT_NAMESPACES = ['default', 'kube-system', 'kube-public', 'kube-node-lease']
/** Where the server's TLS listener is, unless it is told otherwise. */
const API_PORT = 8443

const namespaces = DEFAULT_NAMESPACES.map(name => ({
  apiVersion: 'v1',
  kind: 'Namespace',
  metadata: { name },
  spec: {},
  status: {},
}))

const serviceAccounts = DEFAULT_NAMESPACES.map(namespace => ({
  apiVersion: 'v1',
  kind: 'ServiceAccount',
  metadata: { name: 'default', namespace },
}))

/** The way to the API from inside of the cluster. */
const kubernetesService = {
  apiVersion: 'v1',
  kind: 'Service',
  metadata: {
    name: 'kubernetes',
    namespace: 'default',
    labels: { component: 'apiserver', provider: 'kubernetes' },
  },
  spec: {
    type: 'ClusterIP',
    clusterIP: KUBERNETES_SERVICE_ADDRESS,
    ports: [{ name: 'https', port: 443, protocol: 'TCP', targetPort: API_PORT }],
    sessionAffinity: 'None',
  },
  status: {},
}

/** Where the pods of a cluster reach its API. */
export interface ApiEndpoint {
  /** Of IPv4. */
  readonly address: string
  readonly port: number
}

/** What the service `kubernetes` leads to: it selects no pods. */
function kubernetesSlice({ address, port }: ApiEndpoint): Draft<EndpointSlice> {
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      name: 'kubernetes',
      namespace: 'default',
      labels: { 'kubernetes.io/service-name': 'kubernetes' },
    },
    addressType: 'IPv4',
    endpoints: [{ addresses: [address], conditions: { ready: true } }],
    ports: [{ name: 'https', protocol: 'TCP', port }],
  }
}

const priorityClasses = (
  [
    [
      'system-cluster-critical',
      2_000_000_000,
      'for what the cluster needs, and may move to another node if it must',
    ],
    ['system-node-critical', 2_000_001_000, 'for what must not leave its node'],
  ] as const
).map(([name, value, description]) => ({
  apiVersion: 'scheduling.k8s.io/v1',
  kind: 'PriorityClass',
  metadata: { name },
  value,
  description,
}))

/** What claims get that name no class: a directory of the host where their first pod runs. */
const storageClass = {
  apiVersion: 'storage.k8s.io/v1',
  kind: 'StorageClass',
  metadata: {
    name: 'drover-local',
    annotations: { 'storageclass.kubernetes.io/is-default-class': 'true' },
  },
  provisioner: HOST_VOLUME.provisioner,
  reclaimPolicy: 'Delete',
  volumeBindingMode: 'WaitForFirstConsumer',
}

async function ensure<T extends KubernetesObject>(
  client: ClusterClient,
  reference: ResourceReference<T>,
  draft: Draft<T>,
): Promise<void> {
  const { namespace = '', name = '' } = draft.metadata
  if (await client.has(reference, { namespace, name })) return
  try {
    await client.create(reference, draft)
  } catch (error) {
    if (!(error instanceof StatusError) || error.reason !== 'AlreadyExists') throw error
  }
}

/** Follows the server's address, which may be another one than at the last start. */
async function ensureEndpoint(client: ClusterClient, endpoint: ApiEndpoint): Promise<void> {
  const wanted = kubernetesSlice(endpoint)
  await ensure(client, ENDPOINT_SLICES, wanted)
  const present = await client.get(ENDPOINT_SLICES, { namespace: 'default', name: 'kubernetes' })
  if (present === undefined || leadsTo(present, endpoint)) return
  const { resourceVersion = '' } = present.metadata
  await client.update(ENDPOINT_SLICES, { ...wanted, metadata: { ...wanted.metadata, resourceVersion } })
}

function leadsTo(
  { endpoints = [], ports = [] }: Frozen<EndpointSlice>,
  { address, port }: ApiEndpoint,
): boolean {
  return endpoints.length === 1 && endpoints[0]?.addresses[0] === address && ports[0]?.port === port
}

/** What kubelets and extensions know the cluster's clients by, and who asks them for others. */
function authenticationData({
  clientAuthority,
  frontProxy,
}: ClusterFacts): ReadonlyMap<string, () => Promise<string>> {
  const list = (name: string) => async () => JSON.stringify([name])
  return new Map([
    [CLIENT_AUTHORITY.key, clientAuthority],
    ['requestheader-client-ca-file', frontProxy.authority],
    ['requestheader-allowed-names', list(frontProxy.name)],
    ['requestheader-username-headers', list(IDENTITY_HEADERS.user)],
    ['requestheader-uid-headers', list(IDENTITY_HEADERS.uid)],
    ['requestheader-group-headers', list(IDENTITY_HEADERS.group)],
    ['requestheader-extra-headers-prefix', list(IDENTITY_HEADERS.extraPrefix)],
  ])
}

/** Makes what is missing, also in clusters of before, which did not publish everything; what is there is left as it is. */
async function ensureAuthenticationMap(client: ClusterClient, facts: ClusterFacts): Promise<void> {
  const target = { namespace: CLIENT_AUTHORITY.namespace, name: CLIENT_AUTHORITY.name }
  const present = await client.get(CONFIG_MAPS, target)
  const data: Record<string, string> = {}
  for (const [key, make] of authenticationData(facts))
    if (present?.data?.[key] === undefined) data[key] = await make()
  if (present === undefined)
    await ensure(client, CONFIG_MAPS, { apiVersion: 'v1', kind: 'ConfigMap', metadata: target, data })
  else if (Object.keys(data).length > 0)
    await client.patch(CONFIG_MAPS, target, { type: 'merge', body: { data } })
}

export interface ClusterFacts {
  /** Certificates in PEM that clients of the API have to believe. */
  readonly authority: string
  /** The certificate in PEM of the authority that signs the cluster's clients. */
  readonly clientAuthority: () => Promise<string>
  /** By which others know that this server asks them for somebody: the name in its certificate, and who signed that, in PEM. */
  readonly frontProxy: { readonly name: string; readonly authority: () => Promise<string> }
  /** What the server itself serves. */
  readonly served: readonly { readonly group: string; readonly version: string }[]
  /** Undefined where none is known. */
  readonly endpoint: ApiEndpoint | undefined
}

/** Makes what is missing. What is there is left as it is: it may have been changed on purpose. */
export async function ensureDefaultObjects(client: ClusterClient, facts: ClusterFacts): Promise<void> {
  const { authority, endpoint, served } = facts
  await Promise.all(namespaces.map(namespace => ensure(client, NAMESPACES, namespace)))
  await Promise.all([
    ensure(client, SERVICES, kubernetesService),
    endpoint === undefined ? undefined : ensureEndpoint(client, endpoint),
    ...DEFAULT_NAMESPACES.map(name => ensure(client, CONFIG_MAPS, authorityMap(name, authority))),
    ensureAuthenticationMap(client, facts),
    ensure(client, ROLES, EXTENSION_READER),
    ...localApiServices(served).map(each => ensure(client, API_SERVICES, each)),
    ...serviceAccounts.map(account => ensure(client, SERVICE_ACCOUNTS, account)),
    ...DEFAULT_ROLES.map(role => ensure(client, CLUSTER_ROLES, role)),
    ...DEFAULT_ROLE_BINDINGS.map(binding => ensure(client, CLUSTER_ROLE_BINDINGS, binding)),
    ...priorityClasses.map(each => ensure(client, PRIORITY_CLASSES, each)),
    ensure(client, STORAGE_CLASSES, storageClass),
  ])
}
