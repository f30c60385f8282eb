/** Which containers this host checks, as the metadata says. */

import type { InstanceInfo, MetadataHealthCheck } from '../../protocol/index.ts'
import type { MetadataModel } from '../metadata/index.ts'

export interface CheckTarget {
  readonly containerUuid: string
  /** Counts the starts of the container: what was found out about an earlier run says nothing about this one. */
  readonly epoch: number
  readonly address: string
  /** Runs on this host: nothing of the network between hosts is needed to reach it. */
  readonly local: boolean
  readonly check: MetadataHealthCheck
}

const CHECKED_STATES: ReadonlySet<string> = new Set(['running', 'starting'])

/**
 * The container as something to be checked by the host; undefined when this host does not check it.
 *
 * @param hostAddress of the container's host: where a container without an address of its own is reached
 */
export function targetOf(
  instance: InstanceInfo,
  hostUuid: string,
  hostAddress?: string,
): CheckTarget | undefined {
  const { healthCheck, state, healthCheckHosts, uuid, startCount } = instance
  const address = instance.primaryIp ?? hostAddress
  if (healthCheck === undefined || address === undefined || !CHECKED_STATES.has(state)) return undefined
  if (healthCheck.port < 1 || !healthCheckHosts.includes(hostUuid)) return undefined
  return {
    containerUuid: uuid,
    epoch: startCount,
    address,
    local: instance.hostUuid === hostUuid,
    check: healthCheck,
  }
}

/** Follows the model: a cluster has many thousands of containers, of which few are checked here. */
export class CheckTargets {
  readonly #model: MetadataModel
  readonly #hostUuid: string
  readonly #targets = new Map<string, CheckTarget>()
  readonly #end: () => void

  /** @param changed called after any of them changed */
  constructor(model: MetadataModel, hostUuid: string, changed: () => void) {
    this.#model = model
    this.#hostUuid = hostUuid
    for (const object of model.all()) if (object.infoType === 'instance') this.#take(object)
    this.#end = model.onChange(changes => {
      let differs = false
      for (const { object, previous } of changes) {
        const instance = object ?? previous
        if (instance?.infoType !== 'instance') continue
        const had = this.#targets.delete(instance.uuid)
        const has = object?.infoType === 'instance' && this.#take(object)
        differs ||= had || has
      }
      if (differs) changed()
    })
  }

  /** In an order that does not depend on when they came. */
  list(): readonly CheckTarget[] {
    return [...this.#targets.values()].toSorted((a, b) => (a.containerUuid < b.containerUuid ? -1 : 1))
  }

  /** Follows the model no longer. */
  close(): void {
    this.#end()
  }

  /** One on its host's network, and not on its way to an address of its own, is reached at its host. */
  #addressOnHost({ hostUuid, networkUuid, networkFromContainerUuid }: InstanceInfo): string | undefined {
    if (networkUuid !== undefined || networkFromContainerUuid !== undefined) return undefined
    return this.#model.get('host', hostUuid)?.agentIp
  }

  #take(instance: InstanceInfo): boolean {
    // Most are checked elsewhere.
    if (!instance.healthCheckHosts.includes(this.#hostUuid)) return false
    const target = targetOf(instance, this.#hostUuid, this.#addressOnHost(instance))
    if (target !== undefined) this.#targets.set(instance.uuid, target)
    return target !== undefined
  }
}
