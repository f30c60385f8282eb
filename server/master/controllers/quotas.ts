/** Says in every resource quota what its namespace uses of it. */
import { isDeepStrictEqual } from 'node:util'
import {
  type Frozen,
  type KeptResource,
  type KubernetesObject,
  type ObjectName,
  quotaKinds,
  RESOURCE_QUOTAS,
  type ResourceQuota,
} from '../apiserver/index.ts'
import { unlessAbsent } from './absence.ts'
import type { Controller, ControllerOptions } from './controller.ts'
import { nameOf, ObjectLoop } from './object-loop.ts'
import { Pace } from './pace.ts'
import { writeStatus } from './write-status.ts'

/** Milliseconds for which changes of objects are collected. */
const COLLECT = 50

interface Known {
  readonly target: ObjectName
  /** Kinds that the quota counts, as `group/plural`. */
  readonly kinds: ReadonlySet<string>
}

function kindKey({ group, resource }: KeptResource): string {
  return group === '' ? resource : `${group}/${resource}`
}

export class QuotaController implements Controller {
  readonly #client: ControllerOptions['client']
  readonly #loop: ObjectLoop
  readonly #pace = new Pace(COLLECT)
  /** By namespace and name. */
  readonly #quotas = new Map<string, Known>()
  /** Who watches a kind that some quota counts. */
  readonly #observed = new Map<string, () => void>()

  constructor(options: ControllerOptions) {
    this.#client = options.client
    this.#loop = new ObjectLoop('quotas', options, async target => {
      await this.#pace.measure(() => this.#reconcile(target))
      return undefined
    })
  }

  async start(): Promise<void> {
    await this.#loop.observe(RESOURCE_QUOTAS, {
      seen: quota => {
        const target = nameOf(quota)
        const kinds = quotaKinds(Object.keys(quota.spec.hard ?? {}))
        this.#quotas.set(`${target.namespace}/${target.name}`, { target, kinds })
        this.#loop.kick(target)
      },
      removed: quota => {
        const { namespace, name } = nameOf(quota)
        this.#quotas.delete(`${namespace}/${name}`)
        this.#loop.kick({ namespace, name })
      },
    })
    this.#loop.start()
  }

  async stop(): Promise<void> {
    await this.#loop.stop()
    for (const stop of this.#observed.values()) stop()
  }

  /** Watches what quotas count, and nothing else: most clusters have none. */
  async #followKinds(): Promise<void> {
    const wanted = new Set([...this.#quotas.values()].flatMap(({ kinds }) => [...kinds]))
    for (const [key, stop] of this.#observed) {
      if (wanted.has(key)) continue
      stop()
      this.#observed.delete(key)
    }
    for (const resource of this.#client.keptResources()) {
      const key = kindKey(resource)
      if (!wanted.has(key) || this.#observed.has(key)) continue
      const changed = ({ metadata }: Frozen<KubernetesObject>) => this.#changed(key, metadata.namespace ?? '')
      // One at a time: two looks at once must not both begin to watch.
      this.#observed.set(key, () => undefined)
      this.#observed.set(
        key,
        await this.#client.observe(resource, { sync: () => undefined, changed, removed: changed }),
      )
    }
  }

  #changed(kind: string, namespace: string): void {
    for (const { target, kinds } of this.#quotas.values()) {
      if (target.namespace === namespace && kinds.has(kind)) this.#loop.kickAfter(target, this.#pace.wait)
    }
  }

  async #reconcile(target: ObjectName): Promise<void> {
    await this.#followKinds()
    const quota = await this.#client.get(RESOURCE_QUOTAS, target)
    if (quota === undefined) return
    const status: ResourceQuota['status'] = {
      hard: { ...quota.spec.hard },
      used: await this.#client.quotaUse(quota),
    }
    if (isDeepStrictEqual(quota.status, status)) return
    await unlessAbsent(() => writeStatus(this.#client, RESOURCE_QUOTAS, quota, status))
  }
}
