/**
 * Brings claims and volumes together, says how they are, and holds those that are in use: a claim until no pod uses it,
 * a volume until no claim has it.
 */
import { isDeepStrictEqual } from 'node:util'
import {
  type Draft,
  type EventRecorder,
  type Frozen,
  isOver,
  type JsonObject,
  type KubernetesObject,
  type ObjectName,
  PERSISTENT_VOLUME_CLAIMS,
  PERSISTENT_VOLUMES,
  type PersistentVolume,
  type PersistentVolumeClaim,
  PODS,
  type Pod,
  type ResourceReference,
  STORAGE_CLASSES,
  StatusError,
} from '../apiserver/index.ts'
import { claimNames } from '../scheduler/index.ts'
import { unlessAbsent } from './absence.ts'
import type { Controller, ControllerOptions } from './controller.ts'
import { nameOf, ObjectLoop } from './object-loop.ts'
import {
  CLAIM_FINALIZER,
  type ClaimPlan,
  isFor,
  phaseOf,
  planClaim,
  VOLUME_FINALIZER,
} from './volume-plan.ts'

const BIND_COMPLETED = 'pv.kubernetes.io/bind-completed'
const BOUND_BY_CONTROLLER = 'pv.kubernetes.io/bound-by-controller'
const PROVISIONER = 'volume.kubernetes.io/storage-provisioner'

type Claim = Frozen<PersistentVolumeClaim>
type Volume = Frozen<PersistentVolume>

export interface VolumeControllerOptions extends ControllerOptions {
  readonly events: EventRecorder
}

export class VolumeController implements Controller {
  readonly #options: VolumeControllerOptions
  /** Claims have namespaces, volumes have none. */
  readonly #loop: ObjectLoop
  readonly #volumes = new Map<string, Volume>()
  readonly #waiting = new Map<string, ObjectName>()
  /** Uids of pods by namespace and name of a claim that they use. */
  readonly #users = new Map<string, Set<string>>()

  constructor(options: VolumeControllerOptions) {
    this.#options = options
    this.#loop = new ObjectLoop('volumes', options, async target => {
      if (target.namespace === '') await this.#reconcileVolume(target)
      else await this.#reconcileClaim(target)
      return undefined
    })
  }

  async start(): Promise<void> {
    await this.#loop.observe(PODS, {
      seen: (pod, previous) => {
        // A pod's volumes never change.
        if (previous === undefined || isOver(pod) !== isOver(previous)) this.#podSeen(pod, !isOver(pod))
      },
      removed: pod => this.#podSeen(pod, false),
    })
    await this.#loop.observe(PERSISTENT_VOLUMES, {
      seen: volume => {
        this.#volumes.set(volume.metadata.name, volume)
        this.#volumeSeen(volume)
      },
      removed: volume => {
        this.#volumes.delete(volume.metadata.name)
        this.#volumeSeen(volume)
      },
    })
    await this.#loop.observe(PERSISTENT_VOLUME_CLAIMS, {
      seen: claim => this.#claimSeen(claim),
      removed: claim => this.#claimSeen(claim),
    })
    await this.#loop.observe(STORAGE_CLASSES, { seen: () => this.#kickWaiting(), removed: () => undefined })
    this.#loop.start()
  }

  async stop(): Promise<void> {
    await this.#loop.stop()
  }

  #podSeen(pod: Frozen<Pod>, uses: boolean): void {
    const { namespace = '', uid = '' } = pod.metadata
    for (const name of claimNames(pod)) {
      const key = `${namespace}/${name}`
      const users = this.#users.get(key) ?? new Set<string>()
      if (uses) this.#users.set(key, users.add(uid))
      else if (users.delete(uid) && users.size === 0) this.#users.delete(key)
      this.#loop.kick({ namespace, name })
    }
  }

  #volumeSeen({ metadata, spec }: Volume): void {
    this.#loop.kick({ namespace: '', name: metadata.name })
    const { namespace = '', name = '' } = spec.claimRef ?? {}
    if (name === '') this.#kickWaiting()
    else this.#loop.kick({ namespace, name })
  }

  #claimSeen({ metadata, spec }: Claim): void {
    this.#loop.kick({ namespace: metadata.namespace ?? '', name: metadata.name })
    if ((spec.volumeName ?? '') !== '') this.#loop.kick({ namespace: '', name: spec.volumeName ?? '' })
  }

  #kickWaiting(): void {
    for (const target of this.#waiting.values()) this.#loop.kick(target)
  }

  async #reconcileVolume(target: ObjectName): Promise<void> {
    const { client } = this.#options
    const volume = await client.get(PERSISTENT_VOLUMES, target)
    if (volume === undefined) return
    const { namespace = '', name = '' } = volume.spec.claimRef ?? {}
    const claim = name === '' ? undefined : await client.get(PERSISTENT_VOLUME_CLAIMS, { namespace, name })
    const wanted = phaseOf(volume, claim)
    const { phase, message } = volume.status ?? {}
    if (phase !== wanted.phase || message !== wanted.message) {
      const status = { phase: wanted.phase, message: wanted.message ?? null }
      await this.#patch(PERSISTENT_VOLUMES, volume, { status }, 'status')
    }
    const held = wanted.phase === 'Bound'
    await this.#protect(PERSISTENT_VOLUMES, volume, VOLUME_FINALIZER, held)
  }

  async #reconcileClaim(target: ObjectName): Promise<void> {
    const { client } = this.#options
    const key = `${target.namespace}/${target.name}`
    const claim = await client.get(PERSISTENT_VOLUME_CLAIMS, target)
    if (claim === undefined) {
      this.#waiting.delete(key)
      return
    }
    const isUsed = this.#users.has(key)
    if (await this.#protect(PERSISTENT_VOLUME_CLAIMS, claim, CLAIM_FINALIZER, isUsed)) return
    if (claim.metadata.deletionTimestamp !== undefined) return
    const { storageClassName = '' } = claim.spec
    const storageClass =
      storageClassName === ''
        ? undefined
        : await client.get(STORAGE_CLASSES, { namespace: '', name: storageClassName })
    const plan = planClaim({ claim, volumes: [...this.#volumes.values()], storageClass, isUsed })
    if (plan.type === 'wait') this.#waiting.set(key, target)
    else this.#waiting.delete(key)
    await this.#act(claim, plan)
  }

  async #act(claim: Claim, plan: ClaimPlan): Promise<void> {
    switch (plan.type) {
      case 'lost':
        if (claim.status?.phase !== 'Lost')
          await this.#patch(PERSISTENT_VOLUME_CLAIMS, claim, { status: { phase: 'Lost' } }, 'status')
        return
      case 'bind':
        return await this.#bind(claim, plan.volume)
      case 'make':
        return await this.#make(plan.volume)
      case 'wait': {
        const { reason, message } = plan
        const provisioner = 'provisioner' in plan ? plan.provisioner : undefined
        const bad = reason === 'ProvisioningFailed'
        this.#options.events.record(claim, { type: bad ? 'Warning' : 'Normal', reason, message })
        if (provisioner === undefined || claim.metadata.annotations?.[PROVISIONER] === provisioner) return
        // Provisioners look for their name here.
        const annotations = {
          [PROVISIONER]: provisioner,
          'volume.beta.kubernetes.io/storage-provisioner': provisioner,
        }
        await this.#patch(PERSISTENT_VOLUME_CLAIMS, claim, { metadata: { annotations } })
      }
    }
  }

  /** What is made names its claim, and is bound when it is seen. */
  async #make(volume: Draft<PersistentVolume>): Promise<void> {
    try {
      await this.#options.client.create(PERSISTENT_VOLUMES, volume)
    } catch (error) {
      if (!(error instanceof StatusError) || error.reason !== 'AlreadyExists') throw error
    }
  }

  /** The volume first: only one claim can get it, and what is interrupted is found again by it. */
  async #bind(claim: Claim, volume: Volume): Promise<void> {
    const { namespace = '', name, uid = '', resourceVersion = '' } = claim.metadata
    if (volume.spec.claimRef?.uid !== uid || !isFor(volume.spec.claimRef, claim)) {
      const claimRef = {
        kind: 'PersistentVolumeClaim',
        apiVersion: 'v1',
        namespace,
        name,
        uid,
        resourceVersion,
      }
      const chosen = volume.spec.claimRef === undefined
      const annotations = chosen ? { annotations: { [BOUND_BY_CONTROLLER]: 'yes' } } : {}
      // With the version that was looked at: another claim may choose it at this moment.
      const metadata = { ...annotations, resourceVersion: volume.metadata.resourceVersion ?? '' }
      await this.#patch(PERSISTENT_VOLUMES, volume, { metadata, spec: { claimRef } })
    }
    const chosen = claim.spec.volumeName !== volume.metadata.name
    if (chosen || claim.metadata.annotations?.[BIND_COMPLETED] === undefined) {
      const annotations = { [BIND_COMPLETED]: 'yes', ...(chosen ? { [BOUND_BY_CONTROLLER]: 'yes' } : {}) }
      const body = { metadata: { annotations }, spec: { volumeName: volume.metadata.name } }
      await this.#patch(PERSISTENT_VOLUME_CLAIMS, claim, body)
    }
    const status = {
      phase: 'Bound',
      accessModes: [...(volume.spec.accessModes ?? [])],
      capacity: { ...volume.spec.capacity },
    }
    if (!isDeepStrictEqual({ ...claim.status, ...status }, claim.status))
      await this.#patch(PERSISTENT_VOLUME_CLAIMS, claim, { status }, 'status')
    this.#loop.kick({ namespace: '', name: volume.metadata.name })
  }

  /**
   * Sees that something in use cannot go, and that it goes when it is not.
   *
   * @returns whether it was changed: then it is looked at again
   */
  async #protect(
    reference: ResourceReference,
    object: Frozen<KubernetesObject>,
    finalizer: string,
    inUse: boolean,
  ): Promise<boolean> {
    const { finalizers = [], deletionTimestamp, resourceVersion = '' } = object.metadata
    const present = finalizers.includes(finalizer)
    const going = deletionTimestamp !== undefined
    if (going ? !present || inUse : present) return false
    const next = going ? finalizers.filter(each => each !== finalizer) : [...finalizers, finalizer]
    await this.#patch(reference, object, { metadata: { finalizers: next, resourceVersion } })
    return true
  }

  async #patch(
    reference: ResourceReference,
    object: Frozen<KubernetesObject>,
    body: JsonObject,
    part: '' | 'status' = '',
  ): Promise<void> {
    await unlessAbsent(() =>
      this.#options.client.patch(reference, nameOf(object), { type: 'merge', body, part }),
    )
  }
}
