/** Clusters, environments, and the tokens and kubeconfigs that lead into them. */
import { sleep } from '../../kit/index.ts'
import { formatKubeconfig } from '../../protocol/kubernetes/index.ts'
import type { ApiClient, Resource } from '../api-client.ts'
import type { ServerConnection } from '../connection.ts'
import { cliErrors } from '../errors.ts'
import { print, printJson, progress } from '../output.ts'

/** The cluster of that name, or the only one. */
export async function findCluster(api: ApiClient, name: string | undefined): Promise<Resource> {
  if (name !== undefined) return await api.find('clusters', 'cluster', name)
  const clusters = await api.list('clusters')
  const [first] = clusters
  if (first === undefined)
    throw cliErrors.NotFound({ object: 'cluster', mend: 'create one with: drover cluster create NAME' })
  return clusters.find(cluster => cluster.name === 'default') ?? first
}

/**
 * `drover cluster create NAME`.
 *
 * @param options version of Kubernetes, the server's default when absent; a port of the cluster's own
 */
export async function createCluster(
  api: ApiClient,
  name: string,
  { kubernetesVersion, port }: { readonly kubernetesVersion?: string; readonly port?: number },
  json: boolean,
): Promise<void> {
  const cluster = await api.create('clusters', {
    name,
    ...(kubernetesVersion === undefined ? {} : { kubernetesVersion }),
    ...(port === undefined ? {} : { kubernetesPort: port }),
  })
  if (json) printJson(cluster)
  else print(`created cluster ${cluster.name} (${cluster.id})`)
}

async function waitUntilGone(
  api: ApiClient,
  plural: string,
  resource: Resource,
  timeout: number,
): Promise<void> {
  const deadline = Date.now() + timeout * 1000
  while ((await api.list(plural, { name: resource.name })).some(({ id }) => id === resource.id)) {
    if (Date.now() > deadline)
      throw cliErrors.NotReady({ object: `removal of ${resource.name}`, mend: 'it goes on by itself' })
    await sleep(200)
  }
}

export async function removeCluster(api: ApiClient, name: string, timeout: number): Promise<void> {
  const cluster = await api.find('clusters', 'cluster', name)
  await api.remove('clusters', cluster.id)
  await waitUntilGone(api, 'clusters', cluster, timeout)
  print(`removed cluster ${cluster.name}`)
}

export async function createEnvironment(
  api: ApiClient,
  name: string,
  clusterName: string | undefined,
  json: boolean,
): Promise<void> {
  const cluster = await findCluster(api, clusterName)
  const project = await api.create('projects', { name, clusterId: cluster.id })
  if (json) printJson(project)
  else print(`created environment ${project.name} (${project.id})`)
}

export async function removeEnvironment(api: ApiClient, name: string, timeout: number): Promise<void> {
  const project = await api.find('projects', 'environment', name)
  await api.remove('projects', project.id)
  await waitUntilGone(api, 'projects', project, timeout)
  print(`removed environment ${project.name}`)
}

/** `drover token`: the token alone on standard output, so that scripts can use it; the command beside it. */
export async function issueToken(
  api: ApiClient,
  clusterName: string | undefined,
  seconds: number | undefined,
  json: boolean,
): Promise<void> {
  const cluster = await findCluster(api, clusterName)
  const token = await api.create('registrationtokens', {
    clusterId: cluster.id,
    ...(seconds === undefined ? {} : { expiresInSeconds: seconds }),
  })
  if (json) {
    printJson(token)
    return
  }
  print(String(token.token))
  progress(`on the host: ${token.hostCommand}`)
}

/** At the root of the cluster's own port, if it has one and the server is spoken to by TLS. */
function urlOf({ id, kubernetesPort }: Resource, url: string): string {
  if (typeof kubernetesPort !== 'number' || !url.startsWith('https:')) return `${url}/k8s/clusters/${id}`
  const own = new URL(url)
  own.port = String(kubernetesPort)
  return own.origin
}

/** The kubeconfig of one cluster. */
export async function printKubeconfig(
  api: ApiClient,
  connection: ServerConnection,
  clusterName: string | undefined,
): Promise<void> {
  const cluster = await findCluster(api, clusterName)
  const { url, accessKey, secretKey, authority } = connection
  const text = formatKubeconfig({
    clusterName: cluster.name,
    url: urlOf(cluster, url),
    bearerToken: `${accessKey}:${secretKey}`,
    ...(authority === undefined ? {} : { authority }),
  })
  print(text.trimEnd())
}
