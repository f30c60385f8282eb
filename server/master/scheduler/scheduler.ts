/** The scheduler of one cluster: gives every pending pod a node, and says why when it cannot. */
import { setImmediate } from 'node:timers/promises'
import { type Clock, explainError, type Logger } from '../../../kit/index.ts'
import {
  type ClusterClient,
  disruptionTarget,
  type EventRecorder,
  type Frozen,
  formatTime,
  isOver,
  type JsonValue,
  type KubernetesObject,
  NAMESPACES,
  NODES,
  type Node,
  PERSISTENT_VOLUME_CLAIMS,
  PODS,
  type Pod,
  StatusError,
} from '../apiserver/index.ts'
import { ClusterBudgets } from './budgets.ts'
import { type Choice, chooseNode, type Surroundings } from './choose-node.ts'
import { ClusterVolumes } from './cluster-volumes.ts'
import { Neighbourhood } from './neighbourhood.ts'
import { NodeImages } from './node-images.ts'
import { NodeState, nodeFacts } from './node-state.ts'
import { Nominations } from './nominations.ts'
import { type PodDemand, podDemand } from './pod-demand.ts'
import { choosePreemption, type Preemption } from './preemption.ts'
import { SchedulingQueue } from './scheduling-queue.ts'
import { TopologyCounts } from './topology-counts.ts'
import { SELECTED_NODE, type VolumeDemand, volumeDemand } from './volume-demand.ts'

const SCHEDULER_NAME = 'default-scheduler'
/** Writes on their way; the store gathers them into few transactions. */
const IN_FLIGHT_LIMIT = 256
/** Milliseconds of choosing after which others have their turn on the event loop. */
const SLICE = 5

export interface SchedulerOptions {
  readonly client: ClusterClient
  readonly events: EventRecorder
  readonly clock: Clock
  readonly log: Logger
  /** `Math.random` unless a test says otherwise. */
  readonly random?: () => number
}

/** Whether this scheduler has to find a node for the pod. */
function isPending({ metadata, spec, status }: Frozen<Pod>): boolean {
  return (
    (spec.nodeName ?? '') === '' &&
    metadata.deletionTimestamp === undefined &&
    (spec.schedulerName ?? SCHEDULER_NAME) === SCHEDULER_NAME &&
    (spec.schedulingGates ?? []).length === 0 &&
    status.phase === 'Pending'
  )
}

/** Whether two versions of a pod want the same of a node. */
function sameWish(a: Frozen<Pod>, b: Frozen<Pod>): boolean {
  return (
    a.metadata.uid === b.metadata.uid &&
    a.metadata.generation === b.metadata.generation &&
    JSON.stringify(a.metadata.labels) === JSON.stringify(b.metadata.labels)
  )
}

/** Does something about a pod that may be gone, or another by now. */
async function unlessGone(work: () => Promise<unknown>): Promise<void> {
  try {
    await work()
  } catch (error) {
    if (!(error instanceof StatusError) || !['NotFound', 'Conflict'].includes(error.reason)) throw error
  }
}

function sameFacts(a: NodeState['facts'], b: NodeState['facts']): boolean {
  return JSON.stringify(a, replaceMap) === JSON.stringify(b, replaceMap)
}

function replaceMap(_key: string, value: unknown): unknown {
  return value instanceof Map ? [...value] : value
}

export class Scheduler {
  readonly #options: SchedulerOptions
  readonly #queue: SchedulingQueue
  readonly #nodes = new Map<string, NodeState>()
  /** Where each accounted pod is, by key. */
  readonly #places = new Map<string, NodeState>()
  readonly #namespaces = new Map<string, Readonly<Record<string, string>>>()
  readonly #counts = new TopologyCounts(name => this.#namespaces.get(name))
  readonly #volumes: ClusterVolumes
  readonly #nominations = new Nominations()
  readonly #images = new NodeImages()
  readonly #budgets = new ClusterBudgets()
  /** Pods whose claims are being told their node. */
  readonly #placing = new Set<string>()
  /** Pods that have a node and are on their way out. */
  readonly #ending = new Set<string>()
  /** The newest version of every pending pod, for its events. */
  readonly #pending = new Map<string, Frozen<Pod>>()
  readonly #stopObserving: (() => void)[] = []
  #inFlight = 0
  #room: PromiseWithResolvers<void> | undefined
  #running: Promise<void> | undefined
  #synced = false
  #stopped = false

  constructor(options: SchedulerOptions) {
    this.#options = options
    this.#queue = new SchedulingQueue(options.clock, () => this.#wake())
    this.#volumes = new ClusterVolumes(
      () => this.#queue.encourage(),
      name => this.#nodes.get(name)?.facts !== undefined,
    )
  }

  async start(): Promise<void> {
    const { client } = this.#options
    const namespaceSeen = ({ metadata }: Frozen<KubernetesObject>) => {
      const before = this.#namespaces.get(metadata.name)
      this.#namespaces.set(metadata.name, metadata.labels ?? {})
      if (JSON.stringify(before) !== JSON.stringify(metadata.labels ?? {})) this.#counts.forgetNamespaces()
    }
    this.#stopObserving.push(
      ...(await this.#volumes.observe(client)),
      await this.#budgets.observe(client),
      await client.observe(NAMESPACES, {
        sync: namespaces => namespaces.forEach(namespaceSeen),
        changed: namespaceSeen,
        removed: ({ metadata }) => this.#namespaces.delete(metadata.name),
      }),
      await client.observe(NODES, {
        sync: nodes => {
          for (const node of nodes) this.#nodeChanged(node)
        },
        changed: node => this.#nodeChanged(node),
        removed: node => this.#nodeRemoved(node),
      }),
    )
    this.#stopObserving.push(
      await client.observe(PODS, {
        sync: pods => {
          for (const pod of pods) this.#podChanged(pod, undefined)
        },
        changed: (pod, previous) => this.#podChanged(pod, previous),
        removed: pod => this.#podRemoved(pod),
      }),
    )
    // Placing a pod before all others are accounted for would overfill nodes.
    this.#synced = true
    this.#wake()
  }

  async stop(): Promise<void> {
    this.#stopped = true
    for (const stop of this.#stopObserving) stop()
    this.#queue.stop()
    this.#room?.resolve()
    await this.#running
  }

  #node(name: string): NodeState {
    let node = this.#nodes.get(name)
    if (node === undefined) {
      node = new NodeState(name)
      this.#nodes.set(name, node)
    }
    return node
  }

  #nodeChanged(node: Frozen<Node>): void {
    const state = this.#node(node.metadata.name)
    this.#images.set(node.metadata.name, node.status.images ?? [])
    const facts = nodeFacts(node)
    // Nodes report often, and mostly nothing new.
    if (sameFacts(state.facts, facts)) return
    const relabelled = JSON.stringify(state.facts?.labels) !== JSON.stringify(facts.labels)
    state.facts = facts
    if (relabelled) this.#counts.relabel(state.pods, facts.labels)
    this.#queue.encourage()
  }

  #nodeRemoved(node: Frozen<Node>): void {
    const state = this.#nodes.get(node.metadata.name)
    if (state === undefined) return
    state.facts = undefined
    this.#images.set(node.metadata.name, undefined)
    this.#forgetIfEmpty(state)
  }

  #forgetIfEmpty(state: NodeState): void {
    if (state.facts === undefined && state.podCount === 0) this.#nodes.delete(state.name)
  }

  #podChanged(pod: Frozen<Pod>, previous: Frozen<Pod> | undefined): void {
    const key = `${pod.metadata.namespace}/${pod.metadata.name}`
    if ((pod.spec.nodeName ?? '') !== '' && !isOver(pod)) {
      if (pod.metadata.deletionTimestamp !== undefined) this.#ending.add(key)
      this.#dequeue(key)
      const node = this.#node(pod.spec.nodeName ?? '')
      // Its status changes often, its demand hardly ever.
      const accounted = this.#places.get(key) === node && previous !== undefined && sameWish(pod, previous)
      if (!accounted) this.#place(podDemand(pod), node)
      return
    }
    if (!isPending(pod)) {
      this.#dequeue(key)
      this.#release(key)
      return
    }
    const known = this.#pending.has(key)
    this.#pending.set(key, pod)
    const { nominatedNodeName = '' } = pod.status
    // By an earlier scheduler, or by somebody else: the room is its own, until that is taken back.
    if (nominatedNodeName === '' && (previous?.status.nominatedNodeName ?? '') !== '')
      this.#nominations.remove(key)
    else if (nominatedNodeName !== '' && this.#nominations.nodeOf(key) === undefined)
      this.#nominations.add(podDemand(pod), nominatedNodeName)
    // A report on the pod, such as our own that it fits nowhere, is no reason to try again.
    if (!known || previous === undefined || !sameWish(pod, previous)) this.#queue.add(podDemand(pod))
  }

  #podRemoved(pod: Frozen<Pod>): void {
    const key = `${pod.metadata.namespace}/${pod.metadata.name}`
    this.#dequeue(key)
    this.#release(key)
  }

  #dequeue(key: string): void {
    this.#pending.delete(key)
    this.#nominations.remove(key)
    this.#queue.remove(key)
  }

  #place(pod: PodDemand, node: NodeState): void {
    const before = this.#places.get(pod.key)
    if (before !== undefined && before !== node) this.#release(pod.key)
    node.add(pod)
    this.#counts.add(pod, node.facts?.labels ?? {})
    this.#places.set(pod.key, node)
  }

  /** Takes a pod off its node; its room may be what another one waits for. */
  #release(key: string): void {
    const node = this.#places.get(key)
    if (node === undefined) return
    this.#places.delete(key)
    this.#ending.delete(key)
    this.#counts.remove(key)
    node.remove(key)
    this.#forgetIfEmpty(node)
    this.#queue.encourage()
  }

  #wake(): void {
    if (!this.#synced || this.#stopped || this.#running !== undefined || this.#queue.waiting === 0) return
    this.#running = this.#run().finally(() => {
      this.#running = undefined
      this.#wake()
    })
  }

  async #run(): Promise<void> {
    let sliceEnd = performance.now() + SLICE
    while (!this.#stopped) {
      if (this.#inFlight >= IN_FLIGHT_LIMIT) {
        this.#room ??= Promise.withResolvers<void>()
        await this.#room.promise
        continue
      }
      if (performance.now() >= sliceEnd) {
        await setImmediate()
        sliceEnd = performance.now() + SLICE
        continue
      }
      const pod = this.#queue.take()
      if (pod === undefined) return
      this.#schedule(pod)
    }
  }

  #schedule(demand: PodDemand): void {
    const pod = this.#pending.get(demand.key)
    if (pod === undefined) return
    const volumes = volumeDemand(demand.namespace, demand.claims, this.#volumes)
    if (volumes.type === 'missing') {
      const message = `0/${this.#nodes.size} nodes are available: ${volumes.message}.`
      this.#queue.park(demand, false)
      this.#track(this.#reportUnschedulable(pod, message))
      return
    }
    if (this.#placing.has(demand.key)) {
      this.#queue.hold(demand)
      return
    }
    if (volumes.type === 'placed') {
      this.#nominations.add(demand, volumes.node)
      this.#queue.hold(demand)
      return
    }
    const surroundings = this.#surroundings(demand, volumes)
    const choice = this.#choose(demand, surroundings)
    if (choice.type === 'node' && volumes.toPlace.length > 0) {
      // Its room is kept while its volumes are made.
      this.#nominations.add(demand, choice.node.name)
      this.#queue.hold(demand)
      this.#placing.add(demand.key)
      this.#track(
        this.#placeVolumes(demand, volumes.toPlace, choice.node.name).finally(() => {
          this.#placing.delete(demand.key)
          this.#queue.encourage()
        }),
      )
    } else if (choice.type === 'node') {
      // Accounted for before it is written, or the next pod would be given the same room.
      this.#place(demand, choice.node)
      this.#track(this.#bind(demand, pod, choice.node))
    } else {
      this.#queue.park(demand, false)
      this.#track(this.#reportUnschedulable(pod, choice.message))
      this.#preempt(demand, pod, surroundings)
    }
  }

  /** The node that was made free for it, if it fits there now; or any. */
  #choose(demand: PodDemand, surroundings: Surroundings): Choice {
    const random = this.#options.random ?? Math.random
    const nominated = this.#nodes.get(this.#nominations.nodeOf(demand.key) ?? '')
    if (nominated !== undefined) {
      const choice = chooseNode(demand, [nominated], surroundings, random)
      if (choice.type === 'node') return choice
    }
    return chooseNode(demand, this.#nodes.values(), surroundings, random)
  }

  /** Says for which node the volumes of claims are to be made. */
  async #placeVolumes({ namespace }: PodDemand, claims: readonly string[], node: string): Promise<void> {
    const body: JsonValue = { metadata: { annotations: { [SELECTED_NODE]: node } } }
    for (const name of claims) {
      await unlessGone(() =>
        this.#options.client.patch(PERSISTENT_VOLUME_CLAIMS, { namespace, name }, { type: 'merge', body }),
      )
    }
  }

  #surroundings(demand: PodDemand, { terms }: VolumeDemand & { readonly type: 'ready' }): Surroundings {
    return {
      neighbourhood: new Neighbourhood(demand, this.#nodes.values(), this.#counts),
      volumeTerms: terms,
      nominated: node => this.#nominations.onNode(node, demand),
      imageScores: this.#images.scores(demand.images),
    }
  }

  /** Makes room for a pod that is more important than others, if that is of use. */
  #preempt(demand: PodDemand, pod: Frozen<Pod>, surroundings: Surroundings): void {
    const before = this.#nominations.nodeOf(demand.key)
    const node = before === undefined ? undefined : this.#nodes.get(before)
    // Those that were to go are still going.
    const going = [...(node?.pods ?? [])].some(
      ({ key, priority }) => priority < demand.priority && this.#ending.has(key),
    )
    if (going) return
    const preemption = choosePreemption(demand, this.#nodes.values(), surroundings, this.#budgets.of)
    if (preemption === undefined) {
      this.#withdraw(demand.key)
      return
    }
    // The room that lesser ones wait for is not theirs any more: they look elsewhere.
    for (const key of this.#nominations.lesser(preemption.node.name, demand.priority)) this.#withdraw(key)
    this.#nominations.add(demand, preemption.node.name)
    this.#track(this.#makeRoom(pod, preemption))
  }

  /** Takes back that a node is to be a pod's. */
  #withdraw(key: string): void {
    this.#nominations.remove(key)
    const pod = this.#pending.get(key)
    if ((pod?.status.nominatedNodeName ?? '') === '') return
    const { namespace = '', name = '' } = pod?.metadata ?? {}
    const body: JsonValue = { status: { nominatedNodeName: null } }
    this.#track(
      unlessGone(() =>
        this.#options.client.patch(PODS, { namespace, name }, { type: 'merge', part: 'status', body }),
      ),
    )
  }

  async #makeRoom(pod: Frozen<Pod>, { node, victims }: Preemption): Promise<void> {
    const { client, events } = this.#options
    const { namespace = '', name, uid = '' } = pod.metadata
    const body: JsonValue = { status: { nominatedNodeName: node.name } }
    await unlessGone(() => client.patch(PODS, { namespace, name }, { type: 'merge', part: 'status', body }))
    for (const victim of victims) {
      const present = await client.get(PODS, victim)
      if (present?.metadata.uid !== victim.uid || present.metadata.deletionTimestamp !== undefined) continue
      events.record(present, {
        type: 'Normal',
        reason: 'Preempted',
        message: `Preempted by pod ${uid} on node ${node.name}`,
      })
      const why = `${SCHEDULER_NAME}: preempting to accommodate a higher priority pod`
      const condition = disruptionTarget('PreemptionByScheduler', why, this.#options.clock.now())
      const marked: JsonValue = { status: { conditions: [condition] } }
      await unlessGone(() => client.patch(PODS, victim, { type: 'strategic', part: 'status', body: marked }))
      await unlessGone(() => client.delete(PODS, victim, { preconditions: { uid: victim.uid } }))
    }
  }

  #track(write: Promise<void>): void {
    this.#inFlight += 1
    write
      .catch(error =>
        this.#options.log.warn({ reason: explainError(error) }, 'the scheduler could not write'),
      )
      .finally(() => {
        this.#inFlight -= 1
        this.#room?.resolve()
        this.#room = undefined
      })
  }

  async #bind(demand: PodDemand, pod: Frozen<Pod>, node: NodeState): Promise<void> {
    try {
      await this.#options.client.bind(demand, node.name)
    } catch (error) {
      this.#bindFailed(demand, error)
      return
    }
    this.#options.events.record(pod, {
      type: 'Normal',
      reason: 'Scheduled',
      message: `Successfully assigned ${demand.key} to ${node.name}`,
    })
  }

  #bindFailed(demand: PodDemand, error: unknown): void {
    // A pod that was bound, changed or removed meanwhile is reported by the feed and needs nothing here.
    const pending = this.#pending.get(demand.key)
    if (pending?.metadata.uid !== demand.uid) return
    this.#release(demand.key)
    this.#queue.park(demand, true)
    this.#options.log.debug({ pod: demand.key, reason: explainError(error) }, 'a pod was not bound')
  }

  async #reportUnschedulable(pod: Frozen<Pod>, message: string): Promise<void> {
    this.#options.events.record(pod, { type: 'Warning', reason: 'FailedScheduling', message })
    const present = pod.status.conditions?.find(({ type }) => type === 'PodScheduled')
    if (present?.status === 'False' && present.message === message) return
    const condition = {
      type: 'PodScheduled',
      status: 'False',
      reason: 'Unschedulable',
      message,
      lastTransitionTime:
        present?.status === 'False' && present.lastTransitionTime !== undefined
          ? present.lastTransitionTime
          : formatTime(this.#options.clock.now()),
    }
    const body: JsonValue = { status: { conditions: [condition] } }
    const { namespace = '', name } = pod.metadata
    const { client } = this.#options
    await unlessGone(() =>
      client.patch(PODS, { namespace, name }, { type: 'strategic', part: 'status', body }),
    )
  }
}
