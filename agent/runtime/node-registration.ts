/** Keeps this host's Node object and its lease: how the cluster knows that the host is there and what it can hold. */
import { arch } from 'node:os'
import {
  type Daemon,
  explainError,
  isDroverError,
  type Logger,
  ReconcileLoop,
  type ReconcileResult,
} from '../../kit/index.ts'
import type { Condition, KubernetesClient, Lease, Node } from '../../protocol/kubernetes/index.ts'
import { type HostImage, reportedImages } from './node-images.ts'

/** What the node says about its host. */
export interface NodeFacts {
  readonly nodeName: string
  readonly hostname: string
  readonly address: string
  readonly labels: Readonly<Record<string, string>>
  readonly milliCpu: number
  /** Bytes. */
  readonly memory: number
  /** Bytes. */
  readonly storage: number
  readonly bootId: string
  readonly machineId: string
  readonly kernelVersion: string
  readonly operatingSystem: string
  readonly dockerVersion: string
}

/** Whether pods can run here now. */
export type Readiness =
  | { readonly ready: true }
  | { readonly ready: false; readonly reason: string; readonly message: string }

/** The lease is renewed this often (milliseconds) and given up by the cluster after four times that. */
const LEASE_INTERVAL = 10_000
const LEASE_DURATION_SECONDS = 40
/** A node without changes writes its status this often, in milliseconds. */
const STATUS_INTERVAL = 300_000
/** Milliseconds for which images that come are gathered. */
const IMAGES_DELAY = 5_000
const MAXIMUM_PODS = 110
/** The Kubernetes version whose node behaviour is followed; `kubectl get nodes` shows it. */
const NODE_VERSION = 'v1.36.0+drover'

const ARCHITECTURE: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64' }

const LEASE_PATH = '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases'

function now(): string {
  return `${new Date().toISOString().slice(0, 19)}Z`
}

function architecture(): string {
  return ARCHITECTURE[arch()] ?? arch()
}

export interface NodeRegistrationOptions {
  readonly client: KubernetesClient
  readonly facts: NodeFacts
  readonly readiness: () => Readiness
  /** What the host lacks, by the names of conditions of nodes. */
  readonly pressures: () => ReadonlySet<string>
  readonly images: () => Promise<readonly HostImage[]>
  readonly log: Logger
}

/** Conditions that hold when something is lacking: what they say when it is, and when it is not. */
const PRESSURES = [
  [
    'MemoryPressure',
    ['KubeletHasInsufficientMemory', 'the host has insufficient memory available'],
    ['KubeletHasSufficientMemory', 'the host has sufficient memory'],
  ],
  [
    'DiskPressure',
    ['KubeletHasDiskPressure', 'the host has disk pressure'],
    ['KubeletHasNoDiskPressure', 'the host has no disk pressure'],
  ],
  [
    'PIDPressure',
    ['KubeletHasInsufficientPID', 'the host has insufficient process ids available'],
    ['KubeletHasSufficientPID', 'the host has sufficient process ids'],
  ],
] as const

export class NodeRegistration implements Daemon {
  readonly name = 'node registration'
  readonly #client: KubernetesClient
  readonly #facts: NodeFacts
  readonly #readiness: () => Readiness
  readonly #pressures: NodeRegistrationOptions['pressures']
  readonly #hostImages: NodeRegistrationOptions['images']
  readonly #log: Logger
  readonly #loop: ReconcileLoop<'lease' | 'status'>
  #conditions: readonly Condition[] = []
  #images: ReturnType<typeof reportedImages> = []

  constructor({ client, facts, readiness, pressures, images, log }: NodeRegistrationOptions) {
    this.#client = client
    this.#facts = facts
    this.#readiness = readiness
    this.#pressures = pressures
    this.#hostImages = images
    this.#log = log
    this.#loop = new ReconcileLoop<'lease' | 'status'>({
      name: 'node',
      log,
      concurrency: 2,
      backoff: { initial: 200, maximum: 3_000 },
      reconcile: key => (key === 'lease' ? this.#renewLease() : this.#writeStatus()),
    })
  }

  start(): Promise<void> {
    this.#loop.kick('status')
    this.#loop.kick('lease')
    this.#loop.start()
    return Promise.resolve()
  }

  async stop(): Promise<void> {
    await this.#loop.stop()
  }

  /** Whether pods can run here, or what the host lacks, has changed. */
  readinessChanged(): void {
    this.#loop.kick('status')
  }

  /** There is another image; several of them are told together. */
  imagesChanged(): void {
    this.#loop.kickAfter('status', IMAGES_DELAY)
  }

  async #renewLease(): Promise<ReconcileResult> {
    const { nodeName } = this.#facts
    const spec = {
      holderIdentity: nodeName,
      leaseDurationSeconds: LEASE_DURATION_SECONDS,
      // MicroTime: six digits after the second.
      renewTime: new Date().toISOString().replace(/(\.\d{3})Z$/, '$1000Z'),
    }
    try {
      await this.#client.patch<Lease>(`${LEASE_PATH}/${nodeName}`, 'merge', { spec })
    } catch (error) {
      if (!isDroverError(error, 'NotFound')) throw error
      await this.#client.create<Lease>(LEASE_PATH, {
        apiVersion: 'coordination.k8s.io/v1',
        kind: 'Lease',
        metadata: { name: nodeName, namespace: 'kube-node-lease' },
        spec,
      })
    }
    return { requeueAfter: LEASE_INTERVAL }
  }

  async #writeStatus(): Promise<ReconcileResult> {
    const { nodeName } = this.#facts
    const conditions = this.#currentConditions()
    await this.#lookAtImages()
    const status = { ...this.#fixedStatus(), images: this.#images, conditions }
    try {
      await this.#client.patch<Node>(`/api/v1/nodes/${nodeName}/status`, 'strategic-merge', { status })
      await this.#client.patch<Node>(`/api/v1/nodes/${nodeName}`, 'merge', {
        metadata: { labels: this.#labels() },
      })
    } catch (error) {
      if (!isDroverError(error, 'NotFound')) throw error
      await this.#client.create<Node>('/api/v1/nodes', {
        apiVersion: 'v1',
        kind: 'Node',
        metadata: { name: nodeName, labels: this.#labels() },
        spec: {},
        status,
      })
      // Some servers drop the status of a new object: write it once more where it belongs.
      await this.#client.patch<Node>(`/api/v1/nodes/${nodeName}/status`, 'strategic-merge', { status })
    }
    this.#conditions = conditions
    return { requeueAfter: STATUS_INTERVAL }
  }

  async #lookAtImages(): Promise<void> {
    try {
      this.#images = reportedImages(await this.#hostImages())
    } catch (error) {
      // What was there before mostly still is, and the rest of the status matters more.
      this.#log.debug({ reason: explainError(error) }, 'the images of this host are not known')
    }
  }

  #labels(): Record<string, string> {
    const { nodeName, labels } = this.#facts
    return {
      ...labels,
      'kubernetes.io/hostname': nodeName,
      'kubernetes.io/os': 'linux',
      'kubernetes.io/arch': architecture(),
    }
  }

  #condition(type: string, holds: boolean, reason: string, message: string): Condition {
    const status = holds ? 'True' : 'False'
    const before = this.#conditions.find(condition => condition.type === type)
    const lastTransitionTime = before?.status === status ? (before.lastTransitionTime ?? now()) : now()
    return { type, status, reason, message, lastHeartbeatTime: now(), lastTransitionTime }
  }

  #currentConditions(): Condition[] {
    const readiness = this.#readiness()
    const ready = readiness.ready
      ? this.#condition('Ready', true, 'KubeletReady', 'the agent runs pods')
      : this.#condition('Ready', false, readiness.reason, readiness.message)
    const pressures = this.#pressures()
    return [
      ...PRESSURES.map(([type, lacking, sufficient]) => {
        const holds = pressures.has(type)
        const [reason, message] = holds ? lacking : sufficient
        return this.#condition(type, holds, reason, message)
      }),
      ready,
    ]
  }

  #fixedStatus(): NonNullable<Node['status']> {
    const { milliCpu, memory, storage, hostname, address } = this.#facts
    const capacity = {
      cpu: `${milliCpu}m`,
      memory: String(memory),
      'ephemeral-storage': String(storage),
      pods: String(MAXIMUM_PODS),
    }
    return {
      capacity,
      allocatable: capacity,
      addresses: [
        { type: 'InternalIP', address },
        { type: 'Hostname', address: hostname },
      ],
      // There is no kubelet, also where there was one.
      daemonEndpoints: { kubeletEndpoint: { Port: 0 } },
      nodeInfo: {
        machineID: this.#facts.machineId,
        systemUUID: this.#facts.machineId,
        bootID: this.#facts.bootId,
        kernelVersion: this.#facts.kernelVersion,
        osImage: this.#facts.operatingSystem,
        containerRuntimeVersion: `docker://${this.#facts.dockerVersion}`,
        kubeletVersion: NODE_VERSION,
        kubeProxyVersion: '',
        operatingSystem: 'linux',
        architecture: architecture(),
      },
    }
  }
}
