/** Commands that show what there is. */
import type { ApiClient, Resource } from '../api-client.ts'
import { cliErrors } from '../errors.ts'
import { formatTable, print, printJson } from '../output.ts'
import { describeNetwork } from './network.ts'

function byId(resources: readonly Resource[]): ReadonlyMap<string, Resource> {
  return new Map(resources.map(resource => [resource.id, resource]))
}

function nameOf(resources: ReadonlyMap<string, Resource>, id: unknown): string {
  return id === null || id === undefined ? '-' : (resources.get(String(id))?.name ?? String(id))
}

/** `drover ps`: every container, with what stands in its way. */
export async function listContainers(api: ApiClient, json: boolean): Promise<void> {
  const [containers, hosts] = await Promise.all([api.list('containers'), api.list('hosts')])
  if (json) {
    printJson(containers)
    return
  }
  const hostById = byId(hosts)
  print(
    formatTable(
      ['NAME', 'IMAGE', 'STATE', 'IP', 'HOST', 'STARTS', 'DOCKER ID', 'MESSAGE'],
      containers.map(container => [
        container.name,
        String(container.image),
        container.state,
        String(container.primaryIpAddress ?? '-'),
        nameOf(hostById, container.hostId),
        String(container.startCount),
        String(container.externalId ?? '-').slice(0, 12),
        container.transitioningMessage ?? '',
      ]),
    ),
  )
}

/** `kubelet`, and what stands in its way. */
function describeRuntime(report: unknown): string {
  if (report === null || report === undefined) return '-'
  const { kind, failure } = report as { kind: string; failure: string | null }
  return failure === null ? kind : `${kind} (${failure})`
}

/** `drover hosts`. */
export async function listHosts(api: ApiClient, json: boolean): Promise<void> {
  const [hosts, clusters] = await Promise.all([api.list('hosts'), api.list('clusters')])
  if (json) {
    printJson(hosts)
    return
  }
  const clusterById = byId(clusters)
  print(
    formatTable(
      [
        'NAME',
        'ID',
        'STATE',
        'AGENT',
        'ADDRESS',
        'CLUSTER',
        'CONTAINERS',
        'DOCKER',
        'BLOCKS',
        'NETWORK',
        'RUNTIME',
      ],
      hosts.map(host => [
        host.name,
        host.id,
        host.state,
        String(host.agentState),
        String(host.agentIpAddress),
        nameOf(clusterById, host.clusterId),
        String((host.instanceIds as unknown[]).length),
        (host.info as { osInfo: { dockerVersion: string } }).osInfo.dockerVersion,
        (host.blocks as string[]).join(' '),
        describeNetwork(host.network),
        describeRuntime(host.runtime),
      ]),
    ),
  )
}

/** `drover inspect NAME`: whatever has that name or id, as the API shows it; a service also as `stack/name`. */
export async function inspect(api: ApiClient, name: string): Promise<void> {
  if (name.includes('/')) {
    printJson(await api.findService(name))
    return
  }
  const plurals = ['containers', 'services', 'stacks', 'hosts', 'projects', 'clusters', 'networks']
  for (const plural of plurals) {
    const found = (await api.list(plural)).find(resource => resource.name === name || resource.id === name)
    if (found !== undefined) {
      printJson(found)
      return
    }
  }
  throw cliErrors.NotFound({
    object: name,
    message: 'is the name of no container, service, stack, host, environment or cluster',
  })
}

/** `drover env ls`. */
export async function listEnvironments(api: ApiClient, json: boolean): Promise<void> {
  const [projects, clusters] = await Promise.all([api.list('projects'), api.list('clusters')])
  if (json) {
    printJson(projects)
    return
  }
  const clusterById = byId(clusters)
  print(
    formatTable(
      ['NAME', 'ID', 'STATE', 'CLUSTER', 'NAMESPACE'],
      projects.map(({ name, id, state, clusterId, externalId }) => [
        name,
        id,
        state,
        nameOf(clusterById, clusterId),
        String(externalId),
      ]),
    ),
  )
}

/** `drover cluster ls`. */
export async function listClusters(api: ApiClient, json: boolean): Promise<void> {
  const [clusters, hosts] = await Promise.all([api.list('clusters'), api.list('hosts')])
  if (json) {
    printJson(clusters)
    return
  }
  print(
    formatTable(
      ['NAME', 'ID', 'STATE', 'HOSTS'],
      clusters.map(({ name, id, state }) => [
        name,
        id,
        state,
        String(hosts.filter(({ clusterId }) => clusterId === id).length),
      ]),
    ),
  )
}
