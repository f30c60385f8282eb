/** Deployments: replica sets for their templates, rolled from one to the next. */
import { createHash } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import type { ReconcileResult } from '../../../kit/index.ts'
import {
  type Condition,
  type ConditionStatus,
  DEPLOYMENTS,
  type Deployment,
  type Draft,
  type EventRecorder,
  type Frozen,
  formatTime,
  type ObjectName,
  type PodTemplateSpec,
  REPLICA_SETS,
  type ReplicaSet,
  StatusError,
} from '../apiserver/index.ts'
import { unlessAbsent } from './absence.ts'
import { Adoption, type OwnedObject } from './adoption.ts'
import type { Controller, ControllerOptions } from './controller.ts'
import {
  type Counts,
  countsOf,
  isComplete,
  marginsOf,
  planPaused,
  planScaling,
  REVISION,
  revisionOf,
  type Scaling,
  surplusSets,
} from './deployment-plan.ts'
import { DESIRED, MOST } from './deployment-shares.ts'
import { nameOf, ObjectLoop } from './object-loop.ts'
import { controllerOf } from './owned-pods.ts'
import { ownerReferenceTo } from './owner-reference.ts'
import { REPLICA_FAILURE } from './replica-set-plan.ts'
import { writeStatus } from './write-status.ts'

const HASH_LABEL = 'pod-template-hash'
/** What replica sets do not take over from their deployment: what is about its own text, and what they count themselves. */
const OWN_ANNOTATIONS: ReadonlySet<string> = new Set([
  'kubectl.kubernetes.io/last-applied-configuration',
  REVISION,
  'deployment.kubernetes.io/revision-history',
  'deployment.kubernetes.io/desired-replicas',
  'deployment.kubernetes.io/max-replicas',
  'deprecated.deployment.rollback.to',
])
const DEPLOYMENT = { apiVersion: 'apps/v1', kind: 'Deployment' }
/** Without vowels, so that no hash is a word. */
const ALPHABET = 'bcdfghjklmnpqrstvwxz2456789'
const HASH_LENGTH = 10

type Sets = readonly Frozen<ReplicaSet>[]

/** Uid of the controller that has a set. */
function ownerOf({ metadata }: Frozen<ReplicaSet>): string | undefined {
  return controllerOf(metadata.ownerReferences)?.uid
}

function ownedSet(set: Frozen<ReplicaSet>): OwnedObject {
  return { ...nameOf(set), uid: set.metadata.uid ?? '', labels: set.metadata.labels ?? {} }
}

function withoutHash(template: Frozen<PodTemplateSpec>): PodTemplateSpec {
  const copy = structuredClone(template as PodTemplateSpec)
  delete copy.metadata?.labels?.[HASH_LABEL]
  return copy
}

function annotationsFor({ metadata }: Frozen<Deployment>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(metadata.annotations ?? {}).filter(([name]) => !OWN_ANNOTATIONS.has(name)),
  )
}

/** What is noted at a set whenever it is scaled. */
function sizesOf(deployment: Frozen<Deployment>): Record<string, string> {
  const { replicas = 0 } = deployment.spec
  return { [DESIRED]: String(replicas), [MOST]: String(replicas + marginsOf(deployment).surge) }
}

function hashOf(template: Frozen<PodTemplateSpec>, collisions: number): string {
  const digest = createHash('sha256').update(JSON.stringify(template)).update(String(collisions)).digest()
  return [...digest.subarray(0, HASH_LENGTH)].map(byte => ALPHABET[byte % ALPHABET.length]).join('')
}

export interface DeploymentControllerOptions extends ControllerOptions {
  readonly events: EventRecorder
}

export class DeploymentController implements Controller {
  readonly #options: DeploymentControllerOptions
  readonly #loop: ObjectLoop
  /** Sets by the uid of their deployment, then by name. */
  readonly #sets = new Map<string, Map<string, Frozen<ReplicaSet>>>()
  readonly #adoption: Adoption<ReplicaSet>

  constructor(options: DeploymentControllerOptions) {
    this.#options = options
    this.#loop = new ObjectLoop('deployments', options, target => this.#reconcile(target))
    this.#adoption = new Adoption({
      client: options.client,
      reference: REPLICA_SETS,
      adopted: set => this.#remember(set),
      released: set => this.#forget(set),
      kick: target => this.#loop.kick(target),
    })
  }

  async start(): Promise<void> {
    await this.#loop.observe(REPLICA_SETS, {
      seen: (set, previous) => {
        if (previous !== undefined && ownerOf(previous) !== ownerOf(set)) this.#forget(previous)
        this.#remember(set)
        this.#kickOwner(set)
        this.#adoption.seen(set)
      },
      removed: set => {
        this.#forget(set)
        this.#kickOwner(set)
      },
    })
    await this.#loop.observe(DEPLOYMENTS, {
      seen: deployment => {
        this.#adoption.workloadSeen(nameOf(deployment), deployment.spec.selector)
        this.#loop.kick(nameOf(deployment))
      },
      removed: deployment => {
        this.#adoption.workloadRemoved(nameOf(deployment))
        this.#sets.delete(deployment.metadata.uid ?? '')
      },
    })
    this.#loop.start()
  }

  async stop(): Promise<void> {
    await this.#loop.stop()
  }

  #kickOwner({ metadata }: Frozen<ReplicaSet>): void {
    const owner = controllerOf(metadata.ownerReferences)
    if (owner?.kind === 'Deployment')
      this.#loop.kick({ namespace: metadata.namespace ?? '', name: owner.name })
  }

  #remember(set: Frozen<ReplicaSet>): void {
    const owner = ownerOf(set)
    if (owner === undefined) return
    const sets = this.#sets.get(owner) ?? new Map<string, Frozen<ReplicaSet>>()
    const known = sets.get(set.metadata.name)?.metadata.resourceVersion ?? '0'
    // What this controller wrote itself may be newer than what it is told.
    if (Number(known) > Number(set.metadata.resourceVersion ?? 0)) return
    this.#sets.set(owner, sets.set(set.metadata.name, set))
  }

  #forget(set: Frozen<ReplicaSet>): void {
    const owner = ownerOf(set) ?? ''
    const sets = this.#sets.get(owner)
    if (sets?.get(set.metadata.name)?.metadata.uid !== set.metadata.uid) return
    sets?.delete(set.metadata.name)
    if (sets?.size === 0) this.#sets.delete(owner)
  }

  #setsOf({ metadata }: Frozen<Deployment>): Sets {
    return [...(this.#sets.get(metadata.uid ?? '')?.values() ?? [])].filter(
      set => set.metadata.deletionTimestamp === undefined,
    )
  }

  async #reconcile(target: ObjectName): Promise<ReconcileResult> {
    const { client } = this.#options
    const deployment = await client.get(DEPLOYMENTS, target)
    if (deployment === undefined || deployment.metadata.deletionTimestamp !== undefined) return undefined
    const { selector } = deployment.spec
    const owner = ownerReferenceTo(deployment, DEPLOYMENT)
    await this.#adoption.search(target, selector, owner)
    await this.#adoption.release(selector, owner, this.#setsOf(deployment).map(ownedSet))
    const template = withoutHash(deployment.spec.template)
    const isCurrent = (set: Frozen<ReplicaSet>) => isDeepStrictEqual(withoutHash(set.spec.template), template)
    const paused = deployment.spec.paused === true
    let current = this.#setsOf(deployment).find(isCurrent)
    if (!paused) {
      current ??= await this.#createSet(deployment, template)
      current = await this.#markRevision(deployment, current)
    }
    const old = this.#setsOf(deployment).filter(set => set.metadata.name !== current?.metadata.name)
    const scaling =
      paused || current === undefined
        ? planPaused(deployment, this.#setsOf(deployment))
        : planScaling(deployment, current, old)
    await this.#scale(deployment, scaling)
    if (current !== undefined && isComplete(deployment, current, old)) {
      for (const set of surplusSets(deployment, old)) {
        await unlessAbsent(() => client.delete(REPLICA_SETS, nameOf(set)))
      }
    }
    return await this.#writeStatus(deployment, current, old)
  }

  async #createSet(deployment: Frozen<Deployment>, template: PodTemplateSpec): Promise<Frozen<ReplicaSet>> {
    const { client } = this.#options
    for (let collisions = 0; ; collisions += 1) {
      const draft = setDraft(deployment, template, hashOf(template, collisions))
      try {
        const set = await client.create(REPLICA_SETS, draft)
        // The next look must know it, even before it is observed.
        this.#remember(set)
        return set
      } catch (error) {
        if (!(error instanceof StatusError) || error.reason !== 'AlreadyExists') throw error
        const { namespace = '' } = deployment.metadata
        const present = await client.get(REPLICA_SETS, { namespace, name: draft.metadata.name ?? '' })
        const ours = controllerOf(present?.metadata.ownerReferences)?.uid === deployment.metadata.uid
        if (present === undefined || !ours) continue
        if (!isDeepStrictEqual(withoutHash(present.spec.template), template)) continue
        this.#remember(present)
        return present
      }
    }
  }

  /**
   * The set in use has the highest revision: `kubectl rollout undo` finds its way by it. What is noted at the deployment,
   * such as the cause of the change that `kubectl rollout history` shows, is noted at the set.
   */
  async #markRevision(
    deployment: Frozen<Deployment>,
    current: Frozen<ReplicaSet>,
  ): Promise<Frozen<ReplicaSet>> {
    const { client } = this.#options
    const others = this.#setsOf(deployment).filter(({ metadata }) => metadata.name !== current.metadata.name)
    const highest = [0n, ...others.map(revisionOf)].toSorted((a, b) => (a < b ? 1 : -1))[0] ?? 0n
    let set = current
    const annotations = annotationsFor(deployment)
    if (revisionOf(current) <= highest) annotations[REVISION] = String(highest + 1n)
    const { annotations: present = {} } = current.metadata
    if (Object.entries(annotations).some(([name, value]) => present[name] !== value)) {
      set = await client.patch(REPLICA_SETS, nameOf(current), {
        type: 'merge',
        body: { metadata: { annotations } },
      })
      this.#remember(set)
    }
    const revision = String(revisionOf(set))
    if (deployment.metadata.annotations?.[REVISION] !== revision) {
      const body = { metadata: { annotations: { [REVISION]: revision } } }
      await client.patch(DEPLOYMENTS, nameOf(deployment), { type: 'merge', body })
    }
    return set
  }

  async #scale(deployment: Frozen<Deployment>, scaling: Scaling): Promise<void> {
    const { client, events } = this.#options
    const annotations = sizesOf(deployment)
    const sets = new Map(this.#setsOf(deployment).map(set => [set.metadata.name, set]))
    for (const [name, replicas] of scaling) {
      const set = sets.get(name)
      const before = set?.spec.replicas ?? 0
      if (set === undefined) continue
      const { annotations: present = {} } = set.metadata
      const said = Object.entries(annotations).every(([key, value]) => present[key] === value)
      if (before === replicas && said) continue
      const scaled = await client.patch(REPLICA_SETS, nameOf(set), {
        type: 'merge',
        body: { metadata: { annotations }, spec: { replicas } },
      })
      this.#remember(scaled)
      if (before === replicas) continue
      const direction = replicas > before ? 'up' : 'down'
      const message = `Scaled ${direction} replica set ${name} from ${before} to ${replicas}`
      events.record(deployment, { type: 'Normal', reason: 'ScalingReplicaSet', message })
    }
  }

  async #writeStatus(
    deployment: Frozen<Deployment>,
    current: Frozen<ReplicaSet> | undefined,
    old: Sets,
  ): Promise<ReconcileResult> {
    const { client, clock } = this.#options
    const sets = current === undefined ? old : [current, ...old]
    const counts = countsOf(deployment, current, sets)
    const conditions = conditionsOf(deployment, current, old, counts, clock.now())
    const status = { ...counts, conditions }
    const unchanged = isDeepStrictEqual(
      { ...deployment.status, conditions: (deployment.status?.conditions ?? []).map(timeless) },
      { ...status, conditions: conditions.map(timeless) },
    )
    if (!unchanged) await unlessAbsent(() => writeStatus(client, DEPLOYMENTS, deployment, status))
    const progressing = conditions.find(({ type }) => type === 'Progressing')
    const waits = progressing?.status === 'True' && progressing.reason !== 'NewReplicaSetAvailable'
    const deadline = (deployment.spec.progressDeadlineSeconds ?? 600) * 1000
    return waits ? { requeueAfter: deadline + 1000 } : undefined
  }
}

function timeless({
  lastTransitionTime: _,
  lastUpdateTime: __,
  ...rest
}: Frozen<Condition> & { lastUpdateTime?: string }) {
  return rest
}

function condition(
  before: readonly Frozen<Condition>[],
  next: { type: string; status: ConditionStatus; reason: string; message: string },
  now: string,
  touch: boolean,
) {
  const old = before.find(({ type }) => type === next.type) as
    | (Condition & { lastUpdateTime?: string })
    | undefined
  const same = old?.status === next.status
  const untouched = same && old.reason === next.reason && !touch
  return {
    ...next,
    lastUpdateTime: untouched ? (old.lastUpdateTime ?? now) : now,
    lastTransitionTime: same ? (old.lastTransitionTime ?? now) : now,
  }
}

function conditionsOf(
  deployment: Frozen<Deployment>,
  current: Frozen<ReplicaSet> | undefined,
  old: Sets,
  counts: Counts,
  now: number,
) {
  const { spec, status } = deployment
  const before = status?.conditions ?? []
  const time = formatTime(now)
  const wanted = spec.replicas ?? 0
  const enough = (counts.availableReplicas ?? 0) >= wanted - marginsOf(deployment).unavailable
  const available = condition(
    before,
    {
      type: 'Available',
      status: enough ? 'True' : 'False',
      reason: enough ? 'MinimumReplicasAvailable' : 'MinimumReplicasUnavailable',
      message: enough
        ? 'Deployment has minimum availability.'
        : 'Deployment does not have minimum availability.',
    },
    time,
    false,
  )
  const unknown = (reason: string, message: string) =>
    condition(before, { type: 'Progressing', status: 'Unknown', reason, message }, time, false)
  const failed = (current?.status?.conditions ?? []).find(({ type }) => type === REPLICA_FAILURE)
  const failure =
    failed === undefined
      ? []
      : [
          condition(
            before,
            {
              type: REPLICA_FAILURE,
              status: failed.status,
              reason: failed.reason ?? '',
              message: failed.message ?? '',
            },
            time,
            false,
          ),
        ]
  if (spec.paused === true) {
    return [available, unknown('DeploymentPaused', 'Deployment is paused'), ...failure]
  }
  if (current === undefined) return [available]
  const { name } = current.metadata
  const previous = before.find(({ type }) => type === 'Progressing') as
    | (Condition & { lastUpdateTime?: string })
    | undefined
  const complete = isComplete(deployment, current, old)
  const counted = ['replicas', 'updatedReplicas', 'readyReplicas', 'availableReplicas'] as const
  const moved = counted.some(field => status?.[field] !== counts[field])
  const since = Date.parse(previous?.lastUpdateTime ?? '')
  const limit = (spec.progressDeadlineSeconds ?? 600) * 1000
  const started = deployment.status?.observedGeneration === deployment.metadata.generation
  const late = !complete && !moved && started && !Number.isNaN(since) && now - since > limit
  const next = complete
    ? {
        status: 'True' as const,
        reason: 'NewReplicaSetAvailable',
        message: `ReplicaSet "${name}" has successfully progressed.`,
      }
    : late
      ? {
          status: 'False' as const,
          reason: 'ProgressDeadlineExceeded',
          message: `ReplicaSet "${name}" has timed out progressing.`,
        }
      : {
          status: 'True' as const,
          reason: 'ReplicaSetUpdated',
          message: `ReplicaSet "${name}" is progressing.`,
        }
  const progressing = condition(before, { type: 'Progressing', ...next }, time, moved && !complete)
  return [available, progressing, ...failure]
}

function setDraft(
  deployment: Frozen<Deployment>,
  template: PodTemplateSpec,
  hash: string,
): Draft<ReplicaSet> {
  const { metadata, spec } = deployment
  const labels = { ...template.metadata?.labels, [HASH_LABEL]: hash }
  return {
    apiVersion: 'apps/v1',
    kind: 'ReplicaSet',
    metadata: {
      name: `${metadata.name}-${hash}`,
      ...(metadata.namespace === undefined ? {} : { namespace: metadata.namespace }),
      labels,
      annotations: {
        ...annotationsFor(deployment),
        ...sizesOf(deployment),
      },
      ownerReferences: [ownerReferenceTo(deployment, DEPLOYMENT)],
    },
    spec: {
      // Scaling decides how many, once the set is known beside the others.
      replicas: 0,
      ...(spec.minReadySeconds === undefined ? {} : { minReadySeconds: spec.minReadySeconds }),
      selector: {
        ...structuredClone(spec.selector as object),
        matchLabels: { ...spec.selector?.matchLabels, [HASH_LABEL]: hash },
      },
      template: { ...template, metadata: { ...template.metadata, labels } },
    },
  }
}
