/** The parts of the pod runtime. */
import { rm } from 'node:fs/promises'
import path from 'node:path'
import { pauseImage } from '../images/index.ts'
import type { Logger } from '../kit/index.ts'
import type { KubernetesClient, Pod } from '../protocol/kubernetes/index.ts'
import type { ClusterSource } from './cluster/index.ts'
import type { ContainerInventory, DockerEngine } from './docker/index.ts'
import {
  AccountTokens,
  ContainerEnder,
  ContainerMaker,
  ImagePuller,
  type PodFailure,
  type PodFailures,
  type PodNetwork,
  PodObjects,
  PodRuntime,
  type PodRuntimeEvents,
  type PodStore,
  PodVolumes,
  type PullNotes,
  Sandboxes,
  serviceEnvironment,
  TerminationMessages,
} from './runtime/index.ts'
import { releaseMemory, unmountBelow } from './volumes/index.ts'

/** The file system in memory for what must not be on a disk. */
function podMemory(dataDirectory: string): string {
  return path.join(dataDirectory, 'memory')
}

/** Removes what pods have on disk and in memory. */
export async function removePodFiles(dataDirectory: string): Promise<void> {
  const pods = path.join(dataDirectory, 'pods')
  await unmountBelow(pods)
  await releaseMemory(podMemory(dataDirectory))
  await rm(pods, { recursive: true, force: true })
}

export interface RuntimeContext {
  readonly dataDirectory: string
  readonly engine: DockerEngine
  readonly inventory: ContainerInventory
  readonly network: PodNetwork
  readonly client: KubernetesClient
  readonly cluster: ClusterSource
  readonly store: PodStore
  readonly events: PodRuntimeEvents
  readonly hostId: string
  readonly hostIp: string
  readonly nodeName: string
  readonly machine: { readonly milliCpu: number; readonly memory: number; readonly storage: number }
  readonly pulls: PullNotes
  readonly failures: PodFailures
  /** Why a new pod cannot be taken now. */
  readonly refuse: (pod: Pod) => PodFailure | undefined
  readonly balancerDirectory: (containerUuid: string) => string
  readonly log: Logger
}

export interface RuntimeParts {
  readonly runtime: PodRuntime
  readonly volumes: PodVolumes
  readonly objects: PodObjects
}

export function podRuntime(context: RuntimeContext): RuntimeParts {
  const { dataDirectory, engine, inventory, client, cluster, store, log, hostIp, nodeName, machine } = context
  const diskOf = (uid: string) => store.directoryOf(uid)
  const volumes = new PodVolumes({ diskOf, memory: podMemory(dataDirectory) })
  const sandboxes = new Sandboxes(engine, inventory, context.network)
  const objects = new PodObjects({
    ...{ client, diskOf, log },
    memoryOf: uid => volumes.memoryOf(uid),
    onChange: uid => runtime.inputsChanged(uid),
  })
  const messages = new TerminationMessages(engine, log)
  const place = (pod: Pod) => ({
    pod,
    owner: context.hostId,
    pauseImage: pauseImage.names[0],
    balancerDirectory: context.balancerDirectory,
  })
  const maker = new ContainerMaker({
    engine,
    sandboxes,
    images: new ImagePuller(engine, context.pulls, log),
    objects,
    tokens: new AccountTokens(client, log),
    volumes,
    messages,
    diskOf,
    profiles: path.join(dataDirectory, 'seccomp'),
    services: pod => serviceEnvironment(pod, cluster.collections.services.values()),
    place,
    facts: { nodeName, hostIp, allocatable: machine },
  })
  const runtime: PodRuntime = new PodRuntime({
    engine,
    inventory,
    sandboxes,
    maker,
    ender: new ContainerEnder(engine, inventory, log),
    messages,
    store,
    events: context.events,
    host: machine,
    failures: context.failures,
    refuse: context.refuse,
    owner: context.hostId,
    hostIp,
    place,
    log,
  })
  return { runtime, volumes, objects }
}
