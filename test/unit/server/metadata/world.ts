/** A small world in a real store: clusters with environments, hosts, stacks, services and containers. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { Test } from 'tap'
import { createLogger } from '../../../../kit/index.ts'
import type {
  Cluster,
  Container,
  Host,
  LaunchConfig,
  Project,
  Service,
  Stack,
} from '../../../../server/model/index.ts'
import { Model } from '../../../../server/model/index.ts'
import { openStore, parseSpaceId, type RunningStore, type Space } from '../../../../server/store/index.ts'

export const log = createLogger('test', 'silent')

const SYSTEM = parseSpaceId('system')

export async function temporaryDirectory(t: Test): Promise<string> {
  const directory = await mkdtemp(path.join(tmpdir(), 'metadata-'))
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  return directory
}

/** A store and the model of its space `system`; `reopen` gives what a new process would have. */
export interface World {
  readonly store: RunningStore
  readonly system: Space
  readonly model: Model
  close(): Promise<void>
}

export async function openWorld(database: string): Promise<World> {
  const store = await openStore({ database, log })
  const system = store.spaces().includes(SYSTEM)
    ? await store.openSpace(SYSTEM)
    : await store.createSpace(SYSTEM)
  const model = new Model(system, log)
  await model.start()
  const close = async () => {
    await model.stop()
    await store.stop()
  }
  return { store, system, model, close }
}

export interface ClusterOfWorld {
  readonly cluster: Cluster
  readonly systemProject: Project
  readonly project: Project
  readonly host: Host
}

export async function makeProject(
  model: Model,
  clusterId: string,
  name: string,
  owner = false,
): Promise<Project> {
  return await model.projects.create({
    name,
    state: 'active',
    clusterId,
    clusterOwner: owner,
    externalId: name.toLowerCase(),
  })
}

export async function makeHost(
  model: Model,
  clusterId: string,
  name: string,
  address: string,
): Promise<Host> {
  return await model.hosts.create({
    name,
    state: 'active',
    agentState: 'active',
    clusterId,
    hostname: name,
    nodeName: name,
    keyHash: name,
    agentIpAddress: address,
    labels: { rack: 'r1' },
    memory: 4_000_000_000,
    milliCpu: 2000,
    localStorageMb: 10_000,
    info: { osInfo: { operatingSystem: '', kernelVersion: '', dockerVersion: '' }, agentVersion: '' },
  })
}

/** A cluster as the cluster controller leaves it, with one host. */
export async function makeCluster(model: Model, name: string): Promise<ClusterOfWorld> {
  const made = await model.clusters.create({
    name,
    state: 'active',
    embedded: true,
    clusterBlock: '10.42.0.0/16',
  })
  const systemProject = await makeProject(model, made.id, 'System', true)
  const project = await makeProject(model, made.id, 'Default')
  const network = await model.networks.create({
    name: 'managed',
    state: 'active',
    clusterId: made.id,
    kind: 'bridge',
    isDefault: true,
    hostPorts: true,
    subnets: [{ networkAddress: '10.42.0.0/16' }],
    dns: ['169.254.169.250'],
    defaultPolicyAction: 'allow',
    options: {},
    keyVersion: 1,
    policy: [],
  })
  const cluster = await model.clusters.update(made.id, current => ({
    ...current,
    systemProjectId: systemProject.id,
    defaultProjectId: project.id,
    defaultNetworkId: network.id,
  }))
  const host = await makeHost(model, made.id, `${name}-host`, '192.0.2.10')
  return { cluster, systemProject, project, host }
}

export async function makeStack(model: Model, project: Project, name: string): Promise<Stack> {
  return await model.stacks.create({
    name,
    state: 'active',
    clusterId: project.clusterId,
    accountId: project.id,
    templates: {},
    answers: {},
    system: false,
  })
}

export function launchConfig(name: string, more: Partial<LaunchConfig> = {}): LaunchConfig {
  return {
    name,
    image: 'busybox',
    environment: {},
    labels: {},
    ports: [],
    expose: [],
    tty: false,
    stdinOpen: false,
    privileged: false,
    readOnly: false,
    capAdd: [],
    capDrop: [],
    extraHosts: [],
    dns: [],
    dnsSearch: [],
    binds: [],
    networkMode: 'managed',
    restart: 'always',
    stopTimeout: 10,
    ...more,
  }
}

export async function makeService(
  model: Model,
  stack: Stack,
  name: string,
  more: Partial<Service> = {},
): Promise<Service> {
  return await model.services.create({
    name,
    state: 'active',
    clusterId: stack.clusterId,
    accountId: stack.accountId,
    stackId: stack.id,
    kind: 'service',
    externalIps: [],
    scale: 1,
    launchConfig: launchConfig(name),
    secondaryLaunchConfigs: [],
    serviceLinks: [],
    dependsOn: [],
    metadata: {},
    launchVersion: '1',
    batchSize: 1,
    startFirst: false,
    createIndex: 1,
    ...more,
  })
}

export async function makeContainer(
  model: Model,
  place: { readonly clusterId: string; readonly accountId: string },
  name: string,
  more: Partial<Container> = {},
): Promise<Container> {
  return await model.containers.create({
    name,
    state: 'running',
    clusterId: place.clusterId,
    accountId: place.accountId,
    identity: name,
    image: 'busybox',
    command: [],
    labels: {},
    networkMode: 'managed',
    ports: [],
    startCount: 1,
    createIndex: 1,
    nativeContainer: false,
    hidden: false,
    system: false,
    ...more,
  })
}
