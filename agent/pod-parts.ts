/** What runs the pods of this host and tells the cluster of it: the agent itself on Docker, or a kubelet. */
import path from 'node:path'
import type { Duplex } from 'node:stream'
import { pauseImage } from '../images/index.ts'
import type { Daemon, Logger } from '../kit/index.ts'
import type { ContainerProblem } from '../protocol/index.ts'
import { isStatic, type KubernetesClient, type Pod } from '../protocol/kubernetes/index.ts'
import type { ClusterSource } from './cluster/index.ts'
import type { ContainerInventory, DockerEngine } from './docker/index.ts'
import type { MachineFacts } from './host/index.ts'
import { cniDirectories, type PodRunner } from './host-parts.ts'
import { KubeletRuntime } from './kubelet/index.ts'
import type { Membership } from './link/index.ts'
import { kubeletDirectory } from './pod-runner.ts'
import { type PressureParts, pressureParts } from './pressure-parts.ts'
import {
  type NodeFacts,
  NodeRegistration,
  PodEvents,
  PodFailures,
  type PodNetwork,
  PodSource,
  PodStatusWriter,
  PodStore,
  portConflict,
  type Readiness,
} from './runtime/index.ts'
import { podRuntime } from './runtime-parts.ts'
import { type StaticParts, staticParts, staticPodsDirectory } from './static-parts.ts'

/** Ids of images that are remembered as told. */
const KNOWN_IMAGES = 1_000

export interface PodContext {
  readonly dataDirectory: string
  readonly engine: DockerEngine
  readonly inventory: ContainerInventory
  readonly machine: MachineFacts
  readonly membership: Membership
  readonly address: string
  readonly client: KubernetesClient
  /** Of the cluster's API. */
  readonly clusterUrl: string
  readonly cluster: ClusterSource
  readonly network: PodNetwork
  readonly readiness: () => Readiness
  readonly balancerDirectory: (containerUuid: string) => string
  /** `problems` or `failure` are others. */
  readonly onProblemsChanged: () => void
  readonly log: Logger
}

export interface PodDuty {
  /** Pods of this host, as the cluster has them; none where a kubelet knows them. */
  known(): readonly Pod[]
  /** The uid by which a pod of the cluster is known on this host. */
  localUid(uid: string): string
  /** What stands in the way of containers of Drover's. */
  problems(): readonly ContainerProblem[]
  /** Why no pods are run; undefined while they are. */
  failure(): string | undefined
  /** The network is there, or not as before. */
  networkChanged(): void
  /** A connection to where the kubelet answers; undefined where there is none. */
  readonly connectToKubelet: (() => Promise<Duplex>) | undefined
  /** Before anything is started. */
  load(): Promise<void>
  /** In the order in which they are started. */
  readonly daemons: readonly Daemon[]
}

export async function podDuty(runner: PodRunner, context: PodContext): Promise<PodDuty> {
  return runner === 'kubelet' ? kubeletDuty(context) : await builtinDuty(context)
}

function kubeletDuty(context: PodContext): PodDuty {
  const { dataDirectory, engine, client, clusterUrl, membership, address, machine, log } = context
  const { configurationDirectory, binaryDirectory } = cniDirectories(dataDirectory, 'kubelet')
  const kubelet = new KubeletRuntime({
    directory: kubeletDirectory(dataDirectory),
    client,
    access: {
      url: clusterUrl,
      authority: membership.authority,
      bearerToken: `${membership.accessKey}:${membership.secretKey}`,
    },
    host: {
      nodeName: membership.nodeName,
      address,
      cgroupDriver: machine.engine.cgroupDriver,
      cgroupVersion: machine.engine.cgroupVersion,
      staticPods: staticPodsDirectory(dataDirectory),
      cniConfigurations: configurationDirectory,
      cniPlugins: binaryDirectory,
    },
    docker: { socket: engine.socketPath, pauseImage: pauseImage.names[0] },
    onFailureChanged: context.onProblemsChanged,
    log,
  })
  return {
    known: () => [],
    localUid: uid => uid,
    problems: () => [],
    failure: () => kubelet.failure,
    networkChanged: () => undefined,
    connectToKubelet: () => kubelet.connect(),
    load: () => Promise.resolve(),
    daemons: [kubelet],
  }
}

async function builtinDuty(context: PodContext): Promise<PodDuty> {
  const { dataDirectory, engine, inventory, client, membership, machine, cluster, address, log } = context
  const { nodeName, hostId } = membership
  const store = new PodStore(path.join(dataDirectory, 'pods'), log)
  const statuses = new PodStatusWriter(client, log)
  const happenings = new PodEvents(client, nodeName, log)
  const failures = new PodFailures(uid => store.directoryOf(uid), log)
  const known = () => store.uids().flatMap(uid => store.get(uid) ?? [])
  const kept = () => known().filter(({ metadata: { uid = '' } }) => failures.get(uid) === undefined)
  const pressure: PressureParts = await pressureParts({
    ...{ dataDirectory, engine, inventory, store, happenings, log },
    dockerDirectory: machine.engine.rootDirectory,
    runtime: () => runtime,
    onConditions: () => node.readinessChanged(),
  })
  const { runtime, volumes, objects } = podRuntime({
    ...{ dataDirectory, engine, inventory, client, cluster, store, hostId, nodeName, machine, log },
    network: context.network,
    hostIp: address,
    pulls: pressure.records,
    failures,
    refuse: pod => pressure.eviction.refuse(pod) ?? portConflict(pod, kept(), uid => runtime.isActive(uid)),
    balancerDirectory: context.balancerDirectory,
    events: {
      onStatus: (pod, status) => (isStatic(pod) ? statics.report(pod, status) : statuses.report(pod, status)),
      onEnded: pod => (isStatic(pod) ? statics.pods.ended(pod) : statuses.ended(pod)),
      onProblemsChanged: context.onProblemsChanged,
      onHappening: (pod, happening) => happenings.record(pod, happening),
    },
  })
  const pods = new PodSource({
    ...{ client, nodeName, store, log },
    onChange: uid => {
      if (store.get(uid) === undefined) statuses.forget(uid)
      runtime.podChanged(uid)
    },
    onMirror: (mirror, previous) => {
      if (mirror === undefined) statuses.forget(previous?.metadata.uid ?? '')
      statics.mirrors.observed(mirror, previous)
    },
  })
  const statics: StaticParts = staticParts({
    ...{ dataDirectory, nodeName, client, store, statuses, happenings, log },
    onChange: uid => runtime.podChanged(uid),
  })
  const node: NodeRegistration = new NodeRegistration({
    ...{ client, log },
    facts: nodeFacts(context),
    readiness: context.readiness,
    pressures: () => pressure.eviction.conditions(),
    images: () => engine.images(),
  })
  // What comes is used soon; what goes is told with the next status.
  const knownImages = new Set<string>()
  inventory.onChange(container => {
    if (container === undefined || knownImages.has(container.imageId)) return
    if (knownImages.size >= KNOWN_IMAGES) knownImages.clear()
    knownImages.add(container.imageId)
    node.imagesChanged()
  })
  const memory: Daemon = {
    name: 'memory of pods',
    start: () => volumes.start(),
    stop: () => Promise.resolve(),
  }
  return {
    known,
    localUid: uid => statics.mirrors.localUid(uid),
    problems: () => runtime.problems(),
    failure: () => undefined,
    connectToKubelet: undefined,
    networkChanged() {
      runtime.podsChanged()
      node.readinessChanged()
    },
    async load() {
      await store.load()
      await failures.load(store.uids())
    },
    daemons: [
      ...[statuses, happenings, memory, objects, runtime, statics.pods, statics.mirrors, pods, node],
      ...[pressure.eviction, pressure.images],
    ],
  }
}

function nodeFacts({ membership: { nodeName }, machine, address }: PodContext): NodeFacts {
  const { hostname, milliCpu, memory, storage, bootId, machineId, engine } = machine
  return {
    ...{ nodeName, hostname, address, labels: {}, milliCpu, memory, storage, bootId, machineId },
    kernelVersion: engine.kernelVersion,
    operatingSystem: engine.operatingSystem,
    dockerVersion: engine.version,
  }
}
