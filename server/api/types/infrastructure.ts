/** Clusters, environments, hosts and the tokens that hosts join with. */

import { KeyedLock } from '../../../kit/index.ts'
import type { NetworkReport, RuntimeReport } from '../../../protocol/index.ts'
import {
  DEFAULT_KUBERNETES_VERSION,
  isKubernetesVersion,
  KUBERNETES_VERSIONS,
} from '../../../protocol/kubernetes/index.ts'
import { DEFAULT_TOKEN_LIFE } from '../../auth/index.ts'
import { type ModelObject, modelErrors } from '../../model/index.ts'
import type { ApiContext } from '../context.ts'
import { apiErrors } from '../errors.ts'
import type { Field } from '../fields.ts'
import type { ResourceType } from '../resource-type.ts'

/** Names that are also Kubernetes names or parts of DNS names. */
const dnsName: Field = {
  type: 'string',
  create: true,
  update: true,
  required: true,
  minLength: 1,
  maxLength: 63,
  pattern: /^[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?$/,
}

function descriptionOf(input: Record<string, unknown>): { description?: string } {
  return typeof input.description === 'string' ? { description: input.description } : {}
}

/** The fields of `input` laid over the object. */
function changed<T extends ModelObject>(object: T, input: Record<string, unknown>): T {
  return Object.keys(input).length === 0 ? object : { ...object, ...input }
}

function notRemoving<T extends ModelObject>(object: T): T {
  if (object.state === 'removing')
    throw apiErrors.InvalidState({ object: object.name, message: 'is being removed' })
  return object
}

export function clusterType({ model, clusters }: ApiContext): ResourceType<'cluster'> {
  const lock = new KeyedLock('cluster', 100)
  /** Between the look whether a name and a port are free and the write nobody else may take them. */
  const taking = <T>({ name, kubernetesPort }: Record<string, unknown>, work: () => Promise<T>): Promise<T> =>
    lock.run(`name ${name}`, () =>
      typeof kubernetesPort === 'number' ? lock.run(`port ${kubernetesPort}`, work) : work(),
    )
  const requireFree = (name: unknown, except?: string) => {
    const other = model.clusters.find('name', String(name))
    if (other !== undefined && other.id !== except)
      throw modelErrors.NotUnique({ object: `cluster ${name}`, field: 'name' })
  }
  const requireFreePort = (port: unknown, except?: string) => {
    if (typeof port !== 'number') return
    const other = [...model.clusters.all()].find(each => each.kubernetesPort === port)
    if (other !== undefined && other.id !== except) {
      throw modelErrors.NotUnique({
        object: `port ${port} of cluster ${other.name}`,
        field: 'kubernetesPort',
      })
    }
  }
  return {
    type: 'cluster',
    kind: 'cluster',
    plural: 'clusters',
    fields: {
      name: dnsName,
      embedded: { type: 'boolean' },
      orchestration: { type: 'enum', options: ['kubernetes'] },
      kubernetesVersion: { type: 'enum', options: [...KUBERNETES_VERSIONS], create: true, update: true },
      kubernetesPort: { type: 'int', create: true, update: true, nullable: true, min: 1, max: 65_535 },
      defaultNetworkId: { type: 'reference[network]' },
      defaultProjectId: { type: 'reference[project]' },
      systemProjectId: { type: 'reference[project]' },
      k8sServerConfig: { type: 'json' },
    },
    show: cluster => ({
      embedded: cluster.embedded,
      orchestration: 'kubernetes',
      kubernetesVersion: cluster.kubernetesVersion ?? DEFAULT_KUBERNETES_VERSION,
      kubernetesPort: cluster.kubernetesPort ?? null,
      defaultNetworkId: cluster.defaultNetworkId ?? null,
      defaultProjectId: cluster.defaultProjectId ?? null,
      systemProjectId: cluster.systemProjectId ?? null,
      k8sServerConfig: { podCidr: cluster.clusterBlock, serviceNetCidr: '10.43.0.0/16' },
    }),
    create: input =>
      taking(input, async () => {
        requireFree(input.name)
        requireFreePort(input.kubernetesPort)
        const { kubernetesVersion, kubernetesPort } = input
        return await clusters.create(String(input.name), {
          ...descriptionOf(input),
          ...(isKubernetesVersion(kubernetesVersion) ? { kubernetesVersion } : {}),
          ...(typeof kubernetesPort === 'number' ? { kubernetesPort } : {}),
        })
      }),
    update: (cluster, input) =>
      taking({ name: cluster.name, ...input }, async () => {
        if (input.name !== undefined) requireFree(input.name, cluster.id)
        requireFreePort(input.kubernetesPort, cluster.id)
        return await model.clusters.update(cluster.id, current => {
          const { kubernetesPort, ...rest } = changed(current, input)
          // null takes it away.
          return typeof kubernetesPort === 'number' ? { ...rest, kubernetesPort } : rest
        })
      }),
    remove: async cluster =>
      await model.clusters.update(cluster.id, current => ({ ...current, state: 'removing' as const })),
    links: (cluster, urls) => ({
      hosts: urls.resource('clusters', cluster.id, '/hosts'),
      projects: urls.resource('clusters', cluster.id, '/projects'),
      registrationTokens: urls.resource('clusters', cluster.id, '/registrationtokens'),
    }),
  }
}

export function projectType({ model }: ApiContext): ResourceType<'project'> {
  const lock = new KeyedLock('environment', 100)
  const create = async (input: Record<string, unknown>) => {
    const clusterId = String(input.clusterId)
    const cluster = model.clusters.get(clusterId)
    // One that is being removed waits for its environments to go, and would wait for this one for ever.
    if (cluster === undefined || cluster.state === 'removing') {
      throw apiErrors.InvalidReference({ object: `cluster ${clusterId}`, field: 'clusterId' })
    }
    const namespace = String(input.name).toLowerCase()
    if (model.projects.find('namespace', `${clusterId}/${namespace}`) !== undefined) {
      throw modelErrors.NotUnique({ object: `environment ${input.name}`, field: 'name' })
    }
    return await model.projects.create({
      name: String(input.name),
      ...descriptionOf(input),
      state: 'active',
      clusterId,
      clusterOwner: false,
      externalId: namespace,
    })
  }
  return {
    type: 'project',
    kind: 'project',
    plural: 'projects',
    fields: {
      name: dnsName,
      clusterId: { type: 'reference[cluster]', create: true, required: true },
      clusterOwner: { type: 'boolean' },
      externalId: { type: 'string' },
    },
    show: project => ({
      clusterId: project.clusterId,
      clusterOwner: project.clusterOwner,
      externalId: project.externalId,
    }),
    create: input => lock.run(`${input.clusterId}/${String(input.name).toLowerCase()}`, () => create(input)),
    update: async (project, input) =>
      await model.projects.update(project.id, current => changed(notRemoving(current), input)),
    remove: async project => {
      if (project.clusterOwner || project.id === model.clusters.get(project.clusterId)?.defaultProjectId) {
        throw apiErrors.CantDeleteSystemEnvironment({ object: `environment ${project.name}` })
      }
      return await model.projects.update(project.id, current => ({ ...current, state: 'removing' as const }))
    },
    links: (project, urls) => ({
      stacks: urls.resource('projects', project.id, '/stacks'),
      services: urls.resource('projects', project.id, '/services'),
      containers: urls.resource('projects', project.id, '/containers'),
    }),
  }
}

/** How the host's network is, as its agent said last. */
function showNetworkReport(report: NetworkReport | undefined): Record<string, unknown> | null {
  if (report === undefined) return null
  const { kind, ipv6Prefix = null, up, down, problems, failure = null } = report
  return { kind, ipv6Prefix, up, down, problems, failure }
}

function showRuntimeReport(report: RuntimeReport | undefined): Record<string, unknown> | null {
  return report === undefined ? null : { kind: report.kind, failure: report.failure ?? null }
}

export function hostType({ model, hostReports }: ApiContext): ResourceType<'host'> {
  return {
    type: 'host',
    kind: 'host',
    plural: 'hosts',
    fields: {
      name: {
        ...dnsName,
        create: false,
        required: false,
        pattern: /^[a-zA-Z0-9]([a-zA-Z0-9.-]*[a-zA-Z0-9])?$/,
      },
      clusterId: { type: 'reference[cluster]' },
      hostname: { type: 'string' },
      nodeName: { type: 'string' },
      agentState: { type: 'enum', options: ['registering', 'active', 'reconnecting', 'disconnected'] },
      agentIpAddress: { type: 'string' },
      labels: { type: 'map[string]', update: true },
      memory: { type: 'int' },
      milliCpu: { type: 'int' },
      localStorageMb: { type: 'int' },
      info: { type: 'json' },
      instanceIds: { type: 'array[reference[container]]' },
      blocks: { type: 'array[string]' },
      network: { type: 'json', nullable: true },
      runtime: { type: 'json', nullable: true },
    },
    show: host => ({
      clusterId: host.clusterId,
      hostname: host.hostname,
      nodeName: host.nodeName,
      agentState: host.agentState,
      agentIpAddress: host.agentIpAddress,
      labels: host.labels,
      memory: host.memory,
      milliCpu: host.milliCpu,
      localStorageMb: host.localStorageMb,
      info: host.info,
      instanceIds: model.containers.where('host', host.id).map(({ id }) => id),
      blocks: model.addressBlocks.where('host', host.id).map(({ name }) => name),
      network: showNetworkReport(hostReports.networkReport(host.id)),
      runtime: showRuntimeReport(hostReports.runtimeReport(host.id)),
    }),
    update: async (host, input) =>
      await model.hosts.update(host.id, current => changed(notRemoving(current), input)),
    remove: async host =>
      await model.hosts.update(host.id, current => ({ ...current, state: 'removing' as const })),
    links: (host, urls) => ({ containers: `${urls.collection('containers')}?hostId=${host.id}` }),
  }
}

export function registrationTokenType(context: ApiContext): ResourceType<'registrationToken'> {
  const { model, registrationTokens, advertisedUrl } = context
  return {
    type: 'registrationToken',
    kind: 'registrationToken',
    plural: 'registrationtokens',
    fields: {
      clusterId: { type: 'reference[cluster]', create: true, required: true },
      /** Seconds that the token is valid for. */
      expiresInSeconds: { type: 'int', create: true, min: 1, max: 10 * 365 * 24 * 3600 },
      expires: { type: 'date' },
      token: { type: 'string' },
      registrationUrl: { type: 'string' },
      hostCommand: { type: 'string' },
    },
    show: token => {
      const text = registrationTokens.text(token)
      return {
        clusterId: token.clusterId,
        expires: new Date(token.expires).toISOString(),
        token: text,
        registrationUrl: `${advertisedUrl}/v3/register`,
        hostCommand: `./drover agent --server ${advertisedUrl} --token ${text}`,
      }
    },
    create: async input => {
      const clusterId = String(input.clusterId)
      if (model.clusters.get(clusterId) === undefined) {
        throw apiErrors.InvalidReference({ object: `cluster ${clusterId}`, field: 'clusterId' })
      }
      const seconds = input.expiresInSeconds
      return await registrationTokens.issue(
        clusterId,
        typeof seconds === 'number' ? seconds * 1000 : DEFAULT_TOKEN_LIFE,
      )
    },
    remove: async token => {
      await model.registrationTokens.delete(token.id)
      return { ...token, state: 'inactive' }
    },
  }
}
