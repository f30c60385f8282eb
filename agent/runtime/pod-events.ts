/** Tells the cluster what happens to pods here and to the node, for people: `kubectl describe` shows it. What cannot be told is not kept. */
import { randomBytes } from 'node:crypto'
import { BoundedQueue, type Daemon, explainError, type Logger } from '../../kit/index.ts'
import type { KubernetesClient, Pod } from '../../protocol/kubernetes/index.ts'

/** Something that happened, in Kubernetes' words. */
export interface Happening {
  readonly type: 'Normal' | 'Warning'
  readonly reason: string
  readonly message: string
  /** The container that it is about. */
  readonly container?: string
}

/** What it happened to. */
interface Subject {
  readonly kind: 'Pod' | 'Node'
  /** Empty for a node. */
  readonly namespace: string
  readonly name: string
  readonly uid: string
  readonly resourceVersion?: string
  readonly fieldPath?: string
}

interface Told {
  readonly name: string
  readonly first: string
  count: number
}

/** Happenings that wait to be told, and that are remembered to be counted when they happen again. */
const WAITING = 200
const REMEMBERED = 2_000

/** Happenings of one pod that are told at once, and milliseconds until one more is (as client-go's recorder has it). */
const BURST = 25
const REFILL = 300_000

const LONGEST_MESSAGE = 1_024

interface Allowance {
  left: number
  at: number
}

export class PodEvents implements Daemon {
  readonly name = 'pod events'
  readonly #client: Pick<KubernetesClient, 'create' | 'patch'>
  readonly #node: string
  readonly #log: Logger
  readonly #queue = new BoundedQueue<{ subject: Subject; happening: Happening }>(
    'events of pods',
    WAITING,
    'drop-oldest',
  )
  readonly #told = new Map<string, Told>()
  readonly #allowances = new Map<string, Allowance>()
  #working: Promise<void> | undefined
  #stopped = false

  constructor(client: Pick<KubernetesClient, 'create' | 'patch'>, node: string, log: Logger) {
    this.#client = client
    this.#node = node
    this.#log = log
  }

  start(): Promise<void> {
    return Promise.resolve()
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await this.#working
  }

  /** Takes note of something that happened to a pod; it is told in the background. */
  record(pod: Pod, happening: Happening): void {
    const { namespace = '', name, uid = '', resourceVersion } = pod.metadata
    const { container } = happening
    this.#record(
      {
        ...{ kind: 'Pod', namespace, name, uid },
        ...(resourceVersion === undefined ? {} : { resourceVersion }),
        ...(container === undefined ? {} : { fieldPath: fieldPathOf(pod, container) }),
      },
      happening,
    )
  }

  /** Takes note of something that happened to this node. */
  recordOfNode(happening: Happening): void {
    const name = this.#node
    // As the kubelet names it: events of nodes are found by it.
    this.#record({ kind: 'Node', namespace: '', name, uid: name }, happening)
  }

  #record(subject: Subject, happening: Happening): void {
    if (this.#stopped || !this.#isAllowed(subject.uid)) return
    this.#queue.push({ subject, happening })
    this.#working ??= this.#work().finally(() => {
      this.#working = undefined
    })
  }

  #isAllowed(uid: string): boolean {
    const now = performance.now()
    const { left, at } = this.#allowances.get(uid) ?? { left: BURST, at: now }
    const gained = Math.floor((now - at) / REFILL)
    const available = Math.min(BURST, left + gained)
    this.#allowances.delete(uid)
    remember(this.#allowances, uid, { left: Math.max(0, available - 1), at: gained > 0 ? now : at })
    return available > 0
  }

  async #work(): Promise<void> {
    for (;;) {
      const next = this.#stopped ? undefined : this.#queue.shift()
      if (next === undefined) return
      try {
        await this.#tell(next.subject, next.happening)
      } catch (error) {
        this.#log.debug(
          { reason: explainError(error), event: next.happening.reason },
          'an event was not told',
        )
      }
    }
  }

  async #tell(subject: Subject, { type, reason, message, container }: Happening): Promise<void> {
    const { name, uid } = subject
    const namespace = subject.namespace === '' ? 'default' : subject.namespace
    const path = `/api/v1/namespaces/${encodeURIComponent(namespace)}/events` as const
    const text = message.slice(0, LONGEST_MESSAGE)
    const key = JSON.stringify([uid, container, reason, text])
    const now = `${new Date().toISOString().slice(0, 19)}Z`
    const told = this.#told.get(key)
    if (told !== undefined) {
      told.count += 1
      await this.#client.patch(`${path}/${told.name}`, 'merge', { count: told.count, lastTimestamp: now })
      return
    }
    const fresh: Told = { name: `${name}.${randomBytes(8).toString('hex')}`, first: now, count: 1 }
    await this.#client.create(path, {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name: fresh.name, namespace },
      involvedObject: { apiVersion: 'v1', ...subject },
      ...{ type, reason, message: text, count: 1, firstTimestamp: now, lastTimestamp: now },
      source: { component: 'kubelet', host: this.#node },
      reportingComponent: 'kubelet',
      reportingInstance: this.#node,
    })
    remember(this.#told, key, fresh)
  }
}

/** Where a container is in the pod's specification, in Kubernetes' way. */
function fieldPathOf({ spec }: Pod, container: string): string {
  const has = (list: readonly { readonly name: string }[] = []) => list.some(({ name }) => name === container)
  const field = has(spec.initContainers)
    ? 'initContainers'
    : has(spec.ephemeralContainers)
      ? 'ephemeralContainers'
      : 'containers'
  return `spec.${field}{${container}}`
}

/** Adds to a map that forgets its oldest entry when it is full. */
function remember<Value>(map: Map<string, Value>, key: string, value: Value): void {
  if (map.size >= REMEMBERED) {
    const [oldest] = map.keys()
    if (oldest !== undefined) map.delete(oldest)
  }
  map.set(key, value)
}
