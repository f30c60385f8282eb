/** What a silent node's object should say, and what it says again when the node is back. Pure. */
import {
  type Condition,
  type EventText,
  type Frozen,
  formatTime,
  type JsonObject,
  type JsonValue,
  type Node,
  type Taint,
} from '../apiserver/index.ts'

const UNREACHABLE_TAINT = 'node.kubernetes.io/unreachable'
const NOT_READY_TAINT = 'node.kubernetes.io/not-ready'
/** Taints that keep new pods away while a condition of the node holds (Kubernetes "Taint Nodes by Condition"). */
const CONDITION_TAINTS: ReadonlyMap<string, string> = new Map([
  ['MemoryPressure', 'node.kubernetes.io/memory-pressure'],
  ['DiskPressure', 'node.kubernetes.io/disk-pressure'],
  ['PIDPressure', 'node.kubernetes.io/pid-pressure'],
  ['NetworkUnavailable', 'node.kubernetes.io/network-unavailable'],
])
const OUR_TAINTS: ReadonlySet<string> = new Set([
  UNREACHABLE_TAINT,
  NOT_READY_TAINT,
  ...CONDITION_TAINTS.values(),
])
/** Remembers the conditions of a silent node, for when it is back. */
const BEFORE_ANNOTATION = 'drover.io/conditions-before-unreachable'
const SILENT_REASON = 'NodeStatusUnknown'
const SILENT_MESSAGE = 'Kubelet stopped posting node status.'
const BACK_REASON = 'NodeLeaseRenewed'
const BACK_MESSAGE = 'The node renews its lease again.'

export interface NodeState {
  /** The node has given no sign of life for the grace period. */
  readonly silent: boolean
  /** Pods may be moved off it: not when so many nodes are lost that the fault must be on this side. */
  readonly evicts: boolean
}

export interface NodePlan {
  /** Strategic merge patch of the status; undefined when it is right. */
  readonly status: JsonObject | undefined
  /** Merge patch of the node itself; undefined when it is right. */
  readonly spec: JsonObject | undefined
  readonly event: EventText | undefined
}

function conditionPatch(
  { type }: Frozen<Condition>,
  status: string,
  reason: string,
  message: string,
  now: number,
): JsonObject {
  return { type, status, reason, message, lastTransitionTime: formatTime(now) }
}

/** The conditions that a silence made unknown, with the status that each had before. */
function rememberedStatus(node: Frozen<Node>): ReadonlyMap<string, string> {
  const text = node.metadata.annotations?.[BEFORE_ANNOTATION]
  if (text === undefined) return new Map()
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value !== 'object' || value === null) return new Map()
    return new Map(Object.entries(value).filter(([, status]) => typeof status === 'string'))
  } catch {
    // Anybody may write annotations; without a memory the node is taken to be as healthy as its lease says.
    return new Map()
  }
}

/**
 * What a node's state is told by: nothing new comes; what is there goes after a while, unless all are lost at once. What a node
 * says that it lacks keeps new pods away alone: it knows itself which of its pods have to go.
 */
function wantedTaints(
  node: Frozen<Node>,
  { silent, evicts }: NodeState,
): readonly Pick<Taint, 'key' | 'effect'>[] {
  const ready = node.status.conditions?.find(({ type }) => type === 'Ready')?.status
  const lacking = (node.status.conditions ?? []).flatMap(({ type, status }) => {
    const taint = status === 'True' ? CONDITION_TAINTS.get(type) : undefined
    return taint === undefined ? [] : [{ key: taint, effect: 'NoSchedule' }]
  })
  const key = silent ? UNREACHABLE_TAINT : ready === 'False' ? NOT_READY_TAINT : undefined
  if (key === undefined) return lacking
  return [...lacking, { key, effect: 'NoSchedule' }, ...(evicts ? [{ key, effect: 'NoExecute' }] : [])]
}

function withTaints(node: Frozen<Node>, state: NodeState, now: number): JsonObject | undefined {
  const taints = node.spec.taints ?? []
  const ours = taints.filter(({ key }) => OUR_TAINTS.has(key))
  const wanted = wantedTaints(node, state)
  const found = wanted.map(({ key, effect }) => ours.find(each => each.key === key && each.effect === effect))
  if (found.length === ours.length && !found.includes(undefined)) return undefined
  const next: Frozen<Taint>[] = [
    ...taints.filter(({ key }) => !OUR_TAINTS.has(key)),
    ...wanted.map((taint, index) => found[index] ?? { ...taint, timeAdded: formatTime(now) }),
  ]
  return {
    // Lists are replaced whole, so a taint that somebody adds at this moment must make this patch a conflict.
    metadata: { resourceVersion: node.metadata.resourceVersion ?? '' },
    spec: { taints: next as unknown as JsonValue },
  }
}

function planSilent(node: Frozen<Node>, now: number): JsonObject | undefined {
  const conditions = node.status.conditions ?? []
  const known = conditions.filter(({ status }) => status !== 'Unknown')
  const ready = conditions.find(({ type }) => type === 'Ready')
  if (known.length === 0 && ready !== undefined) return undefined
  const before = new Map([
    ...rememberedStatus(node),
    ...known.map(({ type, status }) => [type, status] as const),
  ])
  const changed = ready === undefined ? [...known, { type: 'Ready', status: 'Unknown' } as const] : known
  return {
    metadata: { annotations: { [BEFORE_ANNOTATION]: JSON.stringify(Object.fromEntries(before)) } },
    status: {
      conditions: changed.map(condition =>
        conditionPatch(condition, 'Unknown', SILENT_REASON, SILENT_MESSAGE, now),
      ),
    },
  }
}

function planBack(node: Frozen<Node>, now: number): JsonObject | undefined {
  const silenced = (node.status.conditions ?? []).filter(({ reason }) => reason === SILENT_REASON)
  const before = rememberedStatus(node)
  const annotated = node.metadata.annotations?.[BEFORE_ANNOTATION] !== undefined
  if (silenced.length === 0 && !annotated) return undefined
  return {
    metadata: { annotations: { [BEFORE_ANNOTATION]: null } },
    status: {
      conditions: silenced.map(condition => {
        const assumed = condition.type === 'Ready' ? 'True' : 'False'
        return conditionPatch(
          condition,
          before.get(condition.type) ?? assumed,
          BACK_REASON,
          BACK_MESSAGE,
          now,
        )
      }),
    },
  }
}

/** @param now milliseconds since 1970 */
export function planNode(node: Frozen<Node>, state: NodeState, now: number): NodePlan {
  const { silent } = state
  const status = silent ? planSilent(node, now) : planBack(node, now)
  // The status first; its write changes the version that the taint's patch has to name.
  const spec = status === undefined ? withTaints(node, state, now) : undefined
  const { name } = node.metadata
  const event =
    silent && status !== undefined
      ? {
          type: 'Normal' as const,
          reason: 'NodeNotReady',
          message: `Node ${name} status is now: NodeNotReady`,
        }
      : undefined
  return { status, spec, event }
}
