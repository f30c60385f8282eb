/** The server's composition root: makes the parts, starts them in order, stops them in reverse. */
import { networkInterfaces } from 'node:os'
import path from 'node:path'
import {
  announceReady,
  createLogger,
  failProcess,
  HttpListener,
  openDataDirectory,
  ownMemoryRelease,
  Supervisor,
  untilAskedToStop,
} from '../kit/index.ts'
import { MessagePacker } from '../protocol/index.ts'
import { writeAdminAccess } from './admin-access.ts'
import { DroverApi, RegistrationApi } from './api/index.ts'
import { apiEndpoint } from './api-endpoint.ts'
import {
  Authenticator,
  HostCertificates,
  loadCertificates,
  RegistrationTokens,
  ServerKey,
} from './auth/index.ts'
import { parseServerCommandLine, type ServerSettings } from './command-line.ts'
import { ComposeExecutor } from './compose/index.ts'
import {
  AddressBlocks,
  BalancerCertificates,
  BalancerReports,
  ClusterController,
  ContainerSync,
  HealthController,
  HostController,
  HostRegistry,
  NetworkAssignments,
  ReplacementController,
  ServiceController,
  StackController,
  UnitController,
} from './controller/index.ts'
import { kubernetesIdentity } from './kubernetes-identity.ts'
import { KubernetesMaster } from './master/index.ts'
import { MetadataPublisher } from './metadata/index.ts'
import { Model } from './model/index.ts'
import { KubernetesPodWriter } from './netes/index.ts'
import { AgentLinks, ClusterPorts, FrontDoor, HostStreams, NodeGateway } from './proxy/index.ts'
import { forgetWithCluster } from './removed-clusters.ts'
import { openStore, parseSpaceId } from './store/index.ts'

/** Raised when an older server would misread what a newer one wrote into the data directory. */
const DATA_FORMAT = 1

const SYSTEM_SPACE = parseSpaceId('system')

const log = createLogger('server', process.env.DROVER_DEBUG === undefined ? 'info' : 'debug')

/** The first address of this machine that others can reach. */
function ownAddress(): string {
  const all = Object.values(networkInterfaces()).flat()
  return all.find(entry => entry?.family === 'IPv4' && !entry.internal)?.address ?? '127.0.0.1'
}

async function run(settings: ServerSettings): Promise<void> {
  const supervisor = new Supervisor(log)
  const directory = path.resolve(settings.dataDirectory)
  const lock = await openDataDirectory(directory, 'server', DATA_FORMAT)
  const advertise = settings.advertise ?? `https://${ownAddress()}:${settings.tlsPort}`
  const key = await ServerKey.load(path.join(directory, 'server.key'))
  const certificates = await loadCertificates(path.join(directory, 'tls'), [new URL(advertise).hostname])

  const store = await openStore({ database: settings.database ?? path.join(directory, 'drover.db'), log })
  await supervisor.start({ name: 'store', start: () => Promise.resolve(), stop: () => store.stop() })
  const system = store.spaces().includes(SYSTEM_SPACE)
    ? await store.openSpace(SYSTEM_SPACE)
    : await store.createSpace(SYSTEM_SPACE)
  const model = new Model(system, log)
  await supervisor.start(model)

  const tokens = new RegistrationTokens(model, key, certificates.authorityChecksum)
  const authenticator = new Authenticator(model, tokens)
  const hosts = new HostRegistry(model)
  const blocks = new AddressBlocks(model)
  const networks = new NetworkAssignments(model, blocks, (clusterUuid, version) =>
    key.sign('key of hosts', `${clusterUuid} ${version}`),
  )
  const componentToken = authenticator.componentToken('netes')
  // The controllers speak the Kubernetes API like everybody else, so that the two halves can live apart.
  const pods = new KubernetesPodWriter(
    clusterId => ({
      url: `https://127.0.0.1:${tls.port}/k8s/clusters/${clusterId}`,
      bearerToken: componentToken,
      authority: certificates.authority,
    }),
    log,
  )
  const hostController = new HostController(model, blocks, pods, log)
  const metadata = new MetadataPublisher({
    model,
    system,
    generation: key.sign('metadata generation', SYSTEM_SPACE),
    serviceToken: uuid => key.sign('service token', uuid),
    renewal: settings.metadataRenewal,
    log,
  })
  const health = new HealthController(model, log)
  const replacement = new ReplacementController(model, health, log)
  const balancers = new BalancerReports(model)
  const certificateKeys = {
    seal: (privateKey: string) => key.seal('private key of a certificate', privateKey),
    unseal: (sealed: string) => key.unseal('private key of a certificate', sealed),
  }
  const hostCertificates = new HostCertificates(path.join(directory, 'hosts'))
  forgetWithCluster(
    model,
    [cluster => pods.disconnect(cluster.id), cluster => hostCertificates.forget(cluster.uuid)],
    log,
  )
  const links = new AgentLinks(
    {
      model,
      hosts,
      blocks,
      networks,
      sync: new ContainerSync(model, log),
      health,
      replacement,
      balancers,
      hostCertificates,
      certificates: new BalancerCertificates(model, ({ sealedKey }) => certificateKeys.unseal(sealedKey)),
      metadata,
      packer: new MessagePacker(),
      log,
    },
    authenticator,
    hostController,
  )
  const master = new KubernetesMaster({
    store,
    log,
    authenticate: (cluster, credentials) => kubernetesIdentity(authenticator, model, cluster, credentials),
    onRevocation: listener =>
      model.apiKeys.onChange((key, previous) => {
        if (previous !== undefined && key?.state !== 'active') listener()
      }),
    nodes: new NodeGateway(model, links),
    authority: certificates.authority,
    endpoint: await apiEndpoint(advertise, log),
    suspendAfter: settings.suspendClustersAfter,
    serviceAccounts: {
      secret: key.sign('service accounts', SYSTEM_SPACE),
      issuer: clusterId => `${advertise}/k8s/clusters/${clusterId}`,
    },
  })
  const clusters = new ClusterController(model, master, log)
  const streams = new HostStreams(links, advertise, model.apiKeys)
  const api = new DroverApi(
    {
      model,
      clusters,
      registrationTokens: tokens,
      compose: new ComposeExecutor(model),
      hostAccess: streams,
      hostReports: links,
      balancers,
      sealKey: certificateKeys.seal,
      health,
      advertisedUrl: advertise,
    },
    authenticator,
    log,
  )
  const registration = new RegistrationApi(
    hosts,
    authenticator,
    { authority: certificates.authority, tlsPort: settings.tlsPort },
    log,
  )
  const door = new FrontDoor({ api, registration, kubernetes: master, links, streams, log })
  const plain = new HttpListener({
    name: 'http',
    host: '0.0.0.0',
    port: settings.port,
    onRequest: (request, response) => door.request(request, response, false),
    onUpgrade: (request, socket, head) => door.upgrade(request, socket, head, false),
  })
  const encryption = {
    cert: certificates.server.certificate,
    key: certificates.server.privateKey,
    minVersion: 'TLSv1.2',
    // Certificates that clusters gave to their clients: whether one is good, only its cluster can say.
    requestCert: true,
    rejectUnauthorized: false,
  } as const
  const tls = new HttpListener({
    name: 'https',
    host: '0.0.0.0',
    port: settings.tlsPort,
    tls: encryption,
    onRequest: (request, response) => door.request(request, response, true),
    onUpgrade: (request, socket, head) => door.upgrade(request, socket, head, true),
  })

  await supervisor.start(ownMemoryRelease(log))
  await supervisor.start(master)
  await supervisor.start(metadata)
  await supervisor.start(links)
  await supervisor.start(plain)
  await supervisor.start(tls)
  await supervisor.start(new ClusterPorts({ model, kubernetes: master, tls: encryption, log }))
  await supervisor.start(pods)
  await supervisor.start(clusters)
  await supervisor.start(hostController)
  await supervisor.start(new StackController(model, pods, log))
  await supervisor.start(new UnitController(model, pods, balancers, log))
  await supervisor.start(new ServiceController(model, log))
  await supervisor.start(health)
  await supervisor.start(replacement)
  await writeAdminAccess({
    directory,
    url: `http://127.0.0.1:${plain.port}`,
    tlsUrl: `https://127.0.0.1:${tls.port}`,
    authorityFile: certificates.authorityFile,
    authority: certificates.authority,
    model,
  })
  log.info({ port: plain.port, tlsPort: tls.port, advertise }, 'ready')
  await announceReady()
  const signal = await untilAskedToStop()
  log.info({ signal }, 'stopping')
  await supervisor.stop()
  await lock.release()
}

try {
  await run(parseServerCommandLine(process.argv))
  process.exit(0)
} catch (error) {
  await failProcess(error, log)
}
