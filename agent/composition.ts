/** The agent's composition root: makes the parts and starts them in order. */
import path from 'node:path'
import { DnsServer, Forwarder } from '../dns/index.ts'
import { ensureImage, pauseImage } from '../images/index.ts'
import { explainError, type Logger, type Supervisor } from '../kit/index.ts'
import { type MetricsRegistry, MetricsServer } from '../kit/metrics/index.ts'
import { buildPlugin, type CniRuntime } from '../netplugins/cni/index.ts'
import { METADATA_ADDRESS, type NetworkAssignment } from '../protocol/index.ts'
import { KubernetesClient } from '../protocol/kubernetes/index.ts'
import { agentMetrics } from './agent-metrics.ts'
import { BalancerDuty, CertificateKeeper } from './balancer/index.ts'
import { balancerCertificatesFile, balancerContainer, balancersDirectory } from './balancer-parts.ts'
import { ClusterSource } from './cluster/index.ts'
import { ConsoleStreams, NodeApi } from './console/index.ts'
import { ContainerInventory, type DockerEngine } from './docker/index.ts'
import { HostCredentialsKeeper, HostExchange } from './exchange/index.ts'
import { EdgeHealth } from './health/index.ts'
import { HealthDuty } from './health-parts.ts'
import { currentLoad, hostFacts, type MachineFacts } from './host/index.ts'
import {
  certificateProof,
  cniRuntime,
  hostNetwork,
  isContainerBridge,
  METADATA_DNS_PORT,
  METADATA_HTTP_PORT,
  METRICS_PORT,
  PLUGIN_FILE,
  type PodRunner,
} from './host-parts.ts'
import { AgentLink, ContainerReporter, type Membership } from './link/index.ts'
import {
  HostNameServers,
  KubernetesNames,
  LateListener,
  LocalAddresses,
  MetadataReplica,
  MetadataServer,
  NameDirectory,
  PeerHosts,
  Requesters,
  SignalBoard,
} from './metadata/index.ts'
import { type HostNetwork, NetworkReporter, ServiceProxy } from './network/index.ts'
import { type PodDuty, podDuty } from './pod-parts.ts'
import { changeRunner } from './pod-runner.ts'
import { HostPolicies } from './policy-parts.ts'
import { CniPodNetwork, DOCKER_LABEL, ManagedContainers, type Readiness } from './runtime/index.ts'
import { HostVolumes } from './volumes/index.ts'

export interface AgentContext {
  readonly dataDirectory: string
  readonly engine: DockerEngine
  readonly machine: MachineFacts
  readonly membership: Membership
  /** By which other hosts reach this one. */
  readonly address: string
  /** What runs the pods here. */
  readonly runner: PodRunner
  readonly supervisor: Supervisor
  readonly log: Logger
}

/** Milliseconds to wait for more address blocks. */
const BLOCKS_DEADLINE = 10_000

/** Milliseconds for an answer with certificates. */
const CERTIFICATES_DEADLINE = 10_000

/** Where this host finds name servers: its own file, and systemd's where that one names only a local stub. */
const NAME_SERVER_FILES = ['/etc/resolv.conf', '/run/systemd/resolve/resolv.conf']

/** Starts everything; what was started can be stopped by the supervisor. */
export async function startAgent(context: AgentContext): Promise<void> {
  const { dataDirectory, engine, machine, membership, address, runner, supervisor, log } = context
  const { hostId, nodeName, serverUrl, clusterId, accessKey, secretKey, authority } = membership
  const isNew = await changeRunner(runner, { dataDirectory, engine, hostId, log })
  await ensureImage(engine, pauseImage)
  await buildPlugin(PLUGIN_FILE)

  const inventory = new ContainerInventory(engine, log)
  const network = hostNetwork(dataDirectory, log, {
    runner,
    certificate: () => certificateProof(hostCredentials.present, membership.hostUuid, peers.uuids()),
    isOwnProcess: processId => services.isOwnProcess(processId),
  })
  const cni = cniRuntime(dataDirectory, log, runner)
  const podNetwork = new CniPodNetwork(cni, network)
  const clusterUrl = `${serverUrl}/k8s/clusters/${clusterId}`
  const client = new KubernetesClient({
    url: clusterUrl,
    bearerToken: `${accessKey}:${secretKey}`,
    authority,
  })
  const cluster = new ClusterSource({
    ...{ client, node: nodeName, log },
    directory: path.join(dataDirectory, 'cluster'),
  })
  const pods: PodDuty = await podDuty(runner, {
    ...{ dataDirectory, engine, inventory, machine, membership, address, client, clusterUrl, cluster, log },
    network: podNetwork,
    readiness: () => readinessOf(inventory, network),
    balancerDirectory: uuid => path.join(balancersDirectory(dataDirectory), uuid),
    onProblemsChanged: () => {
      reporter.changed()
      reportRunner()
    },
  })
  const managed = new ManagedContainers(inventory, podNetwork, log)
  const reporter: ContainerReporter = new ContainerReporter({
    containers: () => inventory.all(),
    managedAddress: id => podNetwork.attachment(id),
    problems: () => pods.problems(),
    load: currentLoad,
    send: message => link.send(message),
    podLabels: DOCKER_LABEL,
  })
  const consoles = new ConsoleStreams({
    ...{ engine, inventory, log },
    attemptLabel: DOCKER_LABEL.attempt,
    localUid: uid => pods.localUid(uid),
    connectToKubelet: pods.connectToKubelet,
  })
  const nodeApi = new NodeApi({
    ...{ engine, inventory, nodeName, log },
    pods: () => pods.known(),
    metrics: () => metrics.text(),
    sendLog: (params, sink) => consoles.sendPodLog(params, sink),
  })
  const replica = new MetadataReplica({
    directory: path.join(dataDirectory, 'metadata'),
    requestResync: reason => link.send({ type: 'metadata.resync', reason }),
    log,
  })
  const services: ServiceProxy = new ServiceProxy({
    ...{ services: cluster.collections.services, slices: cluster.collections.slices },
    nodes: cluster.collections.nodes,
    ...{ node: nodeName, log },
    podBlock: () => network.clusterBlock,
    onLocalEndpoints: present => network.setBridgedServices(present),
    onProblem: problem => network.setServicesProblem(problem),
  })
  const networkReady = () => {
    services.networkChanged()
    pods.networkChanged()
    managed.containersChanged()
  }
  let blocks = 0
  const configure = (assignment: NetworkAssignment) => {
    blocks = assignment.blocks.length
    configureNetwork(network, assignment, address, networkReady, log)
  }
  const link: AgentLink = new AgentLink({
    membership,
    log,
    hello: () => ({ host: hostFacts(machine, address), metadata: replica.position }),
    handlers: {
      onWelcome: welcome => {
        configure(welcome.network)
        reporter.sendFull()
        reportRunner()
        networkReporter.sendAgain()
        health.sendAgain()
        certificates.connected()
        edge.serverConnected()
        void hostCredentials.connected()
        balancers.sendAgain()
      },
      onMessage: message => {
        if (message.type === 'network') configure(message.network)
        else if (message.type === 'metadata') replica.apply(message.delta)
        else if (message.type === 'report') reporter.sendFull()
      },
      onStream: (kind, params, stream) => {
        if (kind === 'node-api') nodeApi.open(stream)
        else consoles.open(kind, params, stream)
      },
      onDisconnected: () => replica.connectionLost(),
    },
  })

  const reportRunner = () => {
    const failure = pods.failure()
    link.send({
      type: 'runtime.report',
      kind: runner,
      ...(failure === undefined ? {} : { failure: failure.slice(0, 1024) }),
    })
  }

  const peers: PeerHosts = new PeerHosts(replica.model, membership.hostUuid)
  peers.onChange(list => network.setPeers(list))
  const policies = new HostPolicies(replica, cluster, network)
  const networkReporter: NetworkReporter = new NetworkReporter(network, message => link.send(message))
  const health: HealthDuty = new HealthDuty({
    ...{ dataDirectory, address, log },
    hostUuid: membership.hostUuid,
    model: replica.model,
    send: message => link.send(message),
    unsent: verdicts => edge.found(verdicts),
  })
  const hostCredentials: HostCredentialsKeeper = new HostCredentialsKeeper({
    file: path.join(dataDirectory, 'host-certificate.json'),
    hostUuid: membership.hostUuid,
    request: () => link.request('host.certificate', {}, CERTIFICATES_DEADLINE),
    log,
  })
  // Tunnels that are proved by it are made anew.
  hostCredentials.onChange(() => network.setPeers(peers.list()))
  const exchange: HostExchange = new HostExchange({
    ...{ address, log },
    credentials: hostCredentials,
    partners: () => health.others(),
    onVerdicts: (hostUuid, verdicts) => edge.heard(hostUuid, verdicts),
  })
  const edge: EdgeHealth = new EdgeHealth({
    hostUuid: membership.hostUuid,
    model: replica.model,
    connected: () => link.connected,
    send: verdicts => exchange.send(verdicts),
    log,
  })
  const certificates: CertificateKeeper = new CertificateKeeper({
    file: balancerCertificatesFile(dataDirectory),
    request: service => link.request('balancer.certificates', { service }, CERTIFICATES_DEADLINE),
    log,
  })
  const balancers: BalancerDuty = new BalancerDuty({
    ...{ inventory, certificates, log },
    directory: balancersDirectory(dataDirectory),
    hostUuid: membership.hostUuid,
    isOurs: container => container.labels[DOCKER_LABEL.owner] === hostId,
    model: replica.model,
    container: id => balancerContainer(engine, id),
    report: reports => link.send({ type: 'balancers.report', balancers: [...reports] }),
  })
  inventory.onChange(() => reporter.changed())
  network.onAttachmentsChanged(() => reporter.changed())
  network.onAddressesLow(() => requestBlocks(link, blocks, log))
  inventory.onReconnected(() => {
    // A Docker engine that starts puts its own firewall rules before ours.
    network
      .reconcileNow('Docker is back')
      .then(networkReady)
      .catch(error => log.error({ err: error }, 'the network was not looked at'))
  })

  await pods.load()
  await supervisor.start(inventory)
  // Before the network is looked at, which takes a moment: containers that run ask all the time.
  const metrics = await startMetadata(replica, cluster, network, balancers, context)
  await supervisor.start(network)
  // Those that a kubelet has made are its runtime's to take care of; it may be another one than Docker.
  if (runner === 'builtin' || isNew) await forgetGoneContainers(cni, inventory, network, log)
  network.setPeers(peers.list())
  await supervisor.start(policies)
  await supervisor.start(services)
  await supervisor.start(networkReporter)
  await supervisor.start(new HostVolumes({ client, nodeName, log }))
  for (const daemon of pods.daemons) await supervisor.start(daemon)
  await supervisor.start(managed)
  await supervisor.start(reporter)
  await supervisor.start(exchange)
  await supervisor.start(edge)
  await supervisor.start(health)
  await supervisor.start(balancers)
  await supervisor.start(link)
  await supervisor.start({
    name: 'Kubernetes client',
    start: () => Promise.resolve(),
    stop: async () => client.close(),
  })
}

/** Serves metadata and names from what is on disk; what the server says comes later. Gives what the agent tells of itself. */
async function startMetadata(
  replica: MetadataReplica,
  cluster: ClusterSource,
  network: HostNetwork,
  balancers: BalancerDuty,
  context: AgentContext,
): Promise<MetricsRegistry> {
  const { membership, supervisor, log } = context
  const { model } = replica
  const signals = new SignalBoard(model)
  const requesters = new Requesters({ model, signals, addresses: new LocalAddresses({ isContainerBridge }) })
  requesters.setHost(membership.hostUuid)
  const forwarder = new Forwarder({ upstreams: [] })
  const host = METADATA_ADDRESS
  const http = new MetadataServer({ host, port: METADATA_HTTP_PORT, model, signals, requesters, log })
  const names = new KubernetesNames()
  names.follow(cluster.collections)
  const clients = new NameDirectory(model, requesters, names)
  const dns = new DnsServer({ host, port: METADATA_DNS_PORT, clients, forwarder, log })
  await supervisor.start(replica)
  await supervisor.start(cluster)
  await supervisor.start(
    new HostNameServers({
      files: NAME_SERVER_FILES,
      onChange: upstreams => forwarder.setUpstreams(upstreams),
      log,
    }),
  )
  // The address comes with the host's network, which may be built only when a server has said how.
  await supervisor.start(new LateListener({ daemon: http, log }))
  await supervisor.start(new LateListener({ daemon: dns, log }))
  const registry = agentMetrics({ metadata: http, replica, dns, network, balancers })
  const metrics = new MetricsServer({ host: '127.0.0.1', port: METRICS_PORT, registry })
  await supervisor.start(new LateListener({ daemon: metrics, log }))
  return registry
}

/** Whether pods can run here now. */
function readinessOf(inventory: ContainerInventory, network: HostNetwork): Readiness {
  if (!inventory.connected) {
    return { ready: false, reason: 'ContainerRuntimeNotReady', message: 'Docker does not answer' }
  }
  try {
    network.requireReady()
    return { ready: true }
  } catch (error) {
    return { ready: false, reason: 'NetworkPluginNotReady', message: explainError(error) }
  }
}

function configureNetwork(
  network: HostNetwork,
  { clusterBlock, blocks, network: choice, hostKeys, labels }: NetworkAssignment,
  address: string,
  ready: () => void,
  log: Logger,
): void {
  const metadata = { address: METADATA_ADDRESS, httpPort: METADATA_HTTP_PORT, dnsPort: METADATA_DNS_PORT }
  network
    .configure({
      ...{ clusterBlock, blocks, address, network: choice, hostKeys, metadata },
      ...(labels === undefined ? {} : { labels }),
    })
    .catch(error => log.error({ err: error }, 'the network is not as it should be; it is tried again'))
    .finally(ready)
}

/** Asks for one block more than the `blocks` that this host has. */
function requestBlocks(link: AgentLink, blocks: number, log: Logger): void {
  link
    .request('network.more', { blocks }, BLOCKS_DEADLINE)
    .catch(error =>
      log.warn({ err: error }, 'got no more address blocks; asked again when the next container comes'),
    )
}

/** Frees the addresses of containers that went while the agent was away. */
async function forgetGoneContainers(
  cni: CniRuntime,
  inventory: ContainerInventory,
  network: HostNetwork,
  log: Logger,
): Promise<void> {
  const running = network
    .attachments()
    .filter(({ containerId }) => (inventory.get(containerId)?.pid ?? 0) !== 0)
  if (running.length === network.attachments().length) return
  try {
    await cni.collectGarbage(running)
  } catch (error) {
    log.warn({ err: error }, 'what gone containers had was not freed; it is when the network is ready')
  }
}
