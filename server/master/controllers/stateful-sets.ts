/** Stateful sets: pods with numbers and claims of their own, made, replaced and removed in order. */
import { isDeepStrictEqual } from 'node:util'
import type { ReconcileResult } from '../../../kit/index.ts'
import {
  type EventRecorder,
  type Frozen,
  type JsonValue,
  type ObjectName,
  type OwnerReference,
  PERSISTENT_VOLUME_CLAIMS,
  type Pod,
  STATEFUL_SETS,
  type StatefulSet,
} from '../apiserver/index.ts'
import { unlessAbsent } from './absence.ts'
import { type Adoption, podAdoption } from './adoption.ts'
import type { Controller, ControllerOptions } from './controller.ts'
import { nameOf, ObjectLoop } from './object-loop.ts'
import { type OwnedPod, OwnedPods } from './owned-pods.ts'
import { ownerReferenceTo } from './owner-reference.ts'
import { observePods, PodChanges, type PodTexts } from './pod-changes.ts'
import { REVISION_LABEL, type Revision, RevisionHistory } from './revision-history.ts'
import { ordinalOf, planStatefulSet, type StatefulSetPlan } from './stateful-set-plan.ts'
import { claimDrafts, claimNames, podName, STATEFUL_SET, statefulPod } from './stateful-set-pods.ts'
import { writeStatusFields } from './write-status.ts'

export interface StatefulSetControllerOptions extends ControllerOptions {
  readonly events: EventRecorder
}

function textsOf({ metadata }: Frozen<StatefulSet>, pod: string): PodTexts {
  const about = `Pod ${pod} in StatefulSet ${metadata.name}`
  return {
    made: () => `create ${about} successful`,
    refused: reason => `create ${about} failed error: ${reason}`,
    removed: () => `delete ${about} successful`,
  }
}

export class StatefulSetController implements Controller {
  readonly #options: StatefulSetControllerOptions
  readonly #loop: ObjectLoop
  readonly #pods = new OwnedPods(STATEFUL_SET.kind)
  readonly #changes: PodChanges
  readonly #history: RevisionHistory
  readonly #adoption: Adoption<Pod>

  constructor(options: StatefulSetControllerOptions) {
    this.#options = options
    this.#changes = new PodChanges({ ...options, pods: this.#pods })
    this.#loop = new ObjectLoop('stateful sets', options, target => this.#reconcile(target))
    this.#history = new RevisionHistory(options.client, STATEFUL_SET)
    this.#adoption = podAdoption({
      client: options.client,
      pods: this.#pods,
      kick: target => this.#loop.kick(target),
      fits: ({ name }, pod) => ordinalOf(name, pod.metadata.name) !== undefined,
    })
  }

  async start(): Promise<void> {
    await this.#history.observe(this.#loop)
    await observePods(this.#loop, this.#pods, pod => this.#adoption.seen(pod))
    await this.#loop.observe(STATEFUL_SETS, {
      seen: set => {
        this.#adoption.workloadSeen(nameOf(set), set.spec.selector)
        this.#loop.kick(nameOf(set))
      },
      removed: set => {
        this.#adoption.workloadRemoved(nameOf(set))
        this.#history.forget(set.metadata.uid ?? '')
      },
    })
    this.#loop.start()
  }

  async stop(): Promise<void> {
    await this.#loop.stop()
  }

  async #reconcile(target: ObjectName): Promise<ReconcileResult> {
    const { client, clock } = this.#options
    const set = await client.get(STATEFUL_SETS, target)
    if (set === undefined || set.metadata.deletionTimestamp !== undefined) return undefined
    const reference = ownerReferenceTo(set, STATEFUL_SET)
    const pods = () => this.#pods.of(target).filter(({ owner }) => owner === set.metadata.uid)
    await this.#adoption.search(target, set.spec.selector, reference)
    await this.#adoption.release(set.spec.selector, reference, pods())
    const update = await this.#history.current(set)
    const current = this.#currentOf(set, update)
    const revisions = { current: current.name, update: update.name }
    const plan = planStatefulSet(set, pods(), revisions, clock.now())
    try {
      await this.#act(set, plan, { current, update })
    } finally {
      const { status, nextAvailable } = planStatefulSet(set, pods(), revisions, clock.now())
      await unlessAbsent(() => writeStatusFields(client, STATEFUL_SETS, set, status))
      if (nextAvailable !== undefined) this.#loop.kickAfter(target, nextAvailable)
    }
    const names = new Set(pods().map(({ labels }) => labels[REVISION_LABEL]))
    const used = this.#history.of(set).filter(({ name }) => names.has(name))
    await this.#history.trim(set, new Set([current.hash, update.hash, ...used.map(({ hash }) => hash)]))
    return plan.create.length > 0 || plan.remove.length > 0 ? { requeueAfter: 0 } : undefined
  }

  /** The revision that the rolling update, if there is one, comes from. */
  #currentOf(set: Frozen<StatefulSet>, update: Revision): Revision {
    const name = set.status?.currentRevision
    return this.#history.of(set).find(revision => revision.name === name) ?? update
  }

  async #act(
    set: Frozen<StatefulSet>,
    plan: StatefulSetPlan,
    revisions: { readonly current: Revision; readonly update: Revision },
  ): Promise<void> {
    const removed = new Set(plan.remove)
    for (const pod of this.#pods.of(nameOf(set))) {
      if (pod.owner === set.metadata.uid && !pod.deleting) await this.#claimOwners(set, pod, removed.has(pod))
    }
    for (const { ordinal, updated } of plan.create) {
      await this.#create(set, ordinal, updated ? revisions.update : revisions.current)
    }
    await Promise.all(plan.remove.map(pod => this.#changes.remove(set, pod, textsOf(set, pod.name))))
  }

  async #create(set: Frozen<StatefulSet>, ordinal: number, { template, name }: Revision): Promise<void> {
    const { client } = this.#options
    const pod = podName(set, ordinal)
    const draft = async () => {
      for (const claim of claimDrafts(set, pod)) {
        const target = { namespace: set.metadata.namespace ?? '', name: claim.metadata.name ?? '' }
        if ((await client.get(PERSISTENT_VOLUME_CLAIMS, target)) === undefined)
          await client.create(PERSISTENT_VOLUME_CLAIMS, claim)
      }
      return statefulPod(set, ordinal, template, name)
    }
    await this.#changes.create(set, draft, textsOf(set, pod))
  }

  /** Says whom the claims of a pod go with, as the set's retention policy wants it. */
  async #claimOwners(set: Frozen<StatefulSet>, pod: OwnedPod, removed: boolean): Promise<void> {
    const { client } = this.#options
    const { whenDeleted, whenScaled } = set.spec.persistentVolumeClaimRetentionPolicy ?? {}
    const ordinal = ordinalOf(set.metadata.name, pod.name) ?? 0
    const start = set.spec.ordinals?.start ?? 0
    const condemned = removed && (ordinal < start || ordinal >= start + (set.spec.replicas ?? 1))
    const wanted: OwnerReference[] = []
    if (condemned && whenScaled === 'Delete')
      wanted.push({ apiVersion: 'v1', kind: 'Pod', name: pod.name, uid: pod.uid })
    if (whenDeleted === 'Delete' && !(condemned && whenScaled === 'Delete')) {
      const { controller: _, blockOwnerDeletion: __, ...owner } = ownerReferenceTo(set, STATEFUL_SET)
      wanted.push(owner)
    }
    for (const name of claimNames(set, pod.name)) {
      const target = { namespace: pod.namespace, name }
      const claim = await client.get(PERSISTENT_VOLUME_CLAIMS, target)
      const present = claim?.metadata.ownerReferences ?? []
      const foreign = present.filter(
        each => each.uid !== set.metadata.uid && !(each.kind === 'Pod' && each.name === pod.name),
      )
      const next = [...foreign, ...wanted]
      if (claim === undefined || isDeepStrictEqual(present, next)) continue
      const { resourceVersion = '' } = claim.metadata
      const body = { metadata: { ownerReferences: next.length === 0 ? null : next, resourceVersion } }
      await unlessAbsent(() =>
        client.patch(PERSISTENT_VOLUME_CLAIMS, target, { type: 'merge', body: body as unknown as JsonValue }),
      )
    }
  }
}
