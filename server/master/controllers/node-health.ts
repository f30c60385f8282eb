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
/** Remembers the conditions of a silent node, for when it is back. */
const BEFORE_ANNOTATION = 'drover.io/conditions-before-unreachable'
const SILENT_REASON = 'NodeStatusUnknown'
const SILENT_MESSAGE = 'Kubelet stopped posting node status.'
const BACK_REASON = 'NodeLeaseRenewed'
const BACK_MESSAGE = 'The node renews its lease again.'

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

function withTaint(node: Frozen<Node>, wanted: boolean, now: number): JsonObject | undefined {
  const taints = node.spec.taints ?? []
  const present = taints.some(({ key }) => key === UNREACHABLE_TAINT)
  if (present === wanted) return undefined
  const others = taints.filter(({ key }) => key !== UNREACHABLE_TAINT)
  const taint: Taint = { key: UNREACHABLE_TAINT, effect: 'NoSchedule', timeAdded: formatTime(now) }
  const next = wanted ? [...others, taint] : others
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

/** @param silent whether the node has given no sign of life for the grace period */
export function planNode(node: Frozen<Node>, silent: boolean, now: number): NodePlan {
  const status = silent ? planSilent(node, now) : planBack(node, now)
  // The status first; its write changes the version that the taint's patch has to name.
  const spec = status === undefined ? withTaint(node, silent, now) : undefined
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
