/** Where the requests of a port rule go, as the metadata says. */

import { explainError } from '../../kit/index.ts'
import { readSelector } from '../../netplugins/policy/index.ts'
import {
  type InstanceInfo,
  LABEL,
  type MetadataHealthCheck,
  type PortRule,
  type ServiceInfo,
  type TargetRule,
} from '../../protocol/index.ts'
import { addressOf, linkedService, type ModelReader, nameKey } from '../metadata/index.ts'

/** Something that answers. */
export interface Target {
  readonly id: string
  readonly address: string
  readonly port: number
  readonly weight: number
  readonly hostUuid: string | undefined
  /** `waiting`: not yet healthy; `failing`: not any more. */
  readonly health: 'serving' | 'waiting' | 'failing'
  /** Is to end, and keeps the clients it has until then. */
  readonly leaving: boolean
}

/** A rule for one service, container or address: what a port rule and its target say together. */
export interface TargetedRule extends TargetRule {
  readonly sourcePort: number
  readonly protocol: PortRule['protocol']
  readonly priority: number | undefined
  readonly index: number
  readonly targets: readonly Target[]
  /** Names that HAProxy looks up by itself. */
  readonly names: readonly { readonly host: string; readonly port: number }[]
  /** How the target's containers are checked. */
  readonly checks: readonly (MetadataHealthCheck | undefined)[]
}

export interface TargetedRules {
  readonly rules: readonly TargetedRule[]
  /** What cannot be carried out, in words. */
  readonly problems: readonly string[]
  /** The environments whose objects matter. */
  readonly environments: ReadonlySet<string>
}

const ENDED: ReadonlySet<string> = new Set(['inactive', 'deactivating', 'removing', 'removed'])
const DEFAULT_WEIGHT = 1

/** How a container does its work, as far as is known. */
function healthOf({ healthState, state }: InstanceInfo, checked: boolean): Target['health'] {
  if (healthState === 'unhealthy' || healthState === 'updating-unhealthy') return 'failing'
  if (healthState === undefined) return checked && state !== 'running' ? 'waiting' : 'serving'
  return healthState === 'healthy' || healthState === 'updating-healthy' ? 'serving' : 'waiting'
}

class Resolver {
  readonly problems: string[] = []
  readonly environments: Set<string>
  readonly #reader: ModelReader
  readonly #balancer: ServiceInfo

  constructor(reader: ModelReader, balancer: ServiceInfo) {
    this.#reader = reader
    this.#balancer = balancer
    this.environments = new Set([balancer.environmentUuid])
  }

  rulesOf(rule: PortRule, index: number): TargetedRule[] {
    if (rule.selector !== undefined) return this.#selected(rule, rule.selector, index)
    const { targetPort } = rule
    if (targetPort === undefined) return []
    if (rule.container !== undefined) return [this.#container(rule, rule.container, targetPort, index)]
    const service = linkedService(this.#reader, this.#balancer, rule.service ?? '')
    if (service === undefined) {
      this.problems.push(`rule ${index + 1}: there is no service ${rule.service}`)
      return [{ ...base(rule, index), targets: [], names: [], checks: [] }]
    }
    return [this.#service(rule, {}, service, targetPort, index)]
  }

  /** Every service whose labels fit; each may say by itself what it wants. */
  #selected(rule: PortRule, selector: string, index: number): TargetedRule[] {
    let matches: (labels: Readonly<Record<string, string>>) => boolean
    try {
      matches = readSelector(selector)
    } catch (error) {
      this.problems.push(`rule ${index + 1}: ${explainError(error)}`)
      return []
    }
    const skip = this.#balancer.labels[LABEL.balancerSkipTargetRules] === 'true'
    const services = this.#reader
      .list('service', 'environment', this.#balancer.environmentUuid)
      .filter(service => service.uuid !== this.#balancer.uuid && matches(service.labels))
    return services.flatMap(service => {
      const own = skip ? [] : (service.lbTargetConfig?.portRules ?? [])
      return (own.length === 0 ? [{}] : own).flatMap((wanted: TargetRule) => {
        const targetPort = wanted.targetPort ?? rule.targetPort
        if (targetPort !== undefined) return [this.#service(rule, wanted, service, targetPort, index)]
        this.problems.push(`rule ${index + 1}: neither it nor ${service.name} says a target port`)
        return []
      })
    })
  }

  #service(
    rule: PortRule,
    wanted: TargetRule,
    service: ServiceInfo,
    port: number,
    index: number,
  ): TargetedRule {
    const found = new Map<string, ServiceInfo>()
    this.#follow(service, found)
    const services = [...found.values()].filter(({ state }) => !ENDED.has(state))
    const weight = rule.weight ?? DEFAULT_WEIGHT
    return {
      ...base({ ...rule, ...wanted }, index),
      targets: services.flatMap(each => this.#targetsOf(each, port, weight)),
      names: services.flatMap(each =>
        each.kind === 'externalService' && each.externalIps.length === 0 && each.hostname !== undefined
          ? [{ host: each.hostname, port }]
          : [],
      ),
      checks: services.filter(({ kind }) => kind !== 'externalService').map(({ healthCheck }) => healthCheck),
    }
  }

  /** A name for other services stands for all of them. */
  #follow(service: ServiceInfo, found: Map<string, ServiceInfo>): void {
    if (found.has(service.uuid)) return
    this.environments.add(service.environmentUuid)
    found.set(service.uuid, service)
    if (service.kind !== 'dnsService') return
    for (const { name } of service.links) {
      const next = linkedService(this.#reader, service, name)
      if (next !== undefined) this.#follow(next, found)
    }
  }

  #targetsOf(service: ServiceInfo, port: number, weight: number): Target[] {
    if (service.kind === 'externalService') {
      return service.externalIps.map(address => ({
        ...{ id: `${address}/${port}`, address, port, weight, hostUuid: undefined },
        ...{ health: 'serving', leaving: false },
      }))
    }
    return this.#reader
      .list('instance', 'service', service.uuid)
      .filter(({ sidekick }) => sidekick === undefined)
      .flatMap(instance => this.#target(instance, port, weight, service.healthCheck !== undefined))
  }

  #container(rule: PortRule, name: string, port: number, index: number): TargetedRule {
    const instances = this.#reader.list('instance', 'name', nameKey(this.#balancer.environmentUuid, name))
    if (instances.length === 0) this.problems.push(`rule ${index + 1}: there is no container ${name}`)
    return {
      ...base(rule, index),
      targets: instances.flatMap(instance =>
        this.#target(instance, port, rule.weight ?? DEFAULT_WEIGHT, instance.healthCheck !== undefined),
      ),
      names: [],
      checks: instances.map(({ healthCheck }) => healthCheck),
    }
  }

  #target(instance: InstanceInfo, port: number, weight: number, checked: boolean): Target[] {
    const { state, hostUuid, uuid } = instance
    const leaving = state === 'stopping'
    if (state !== 'running' && state !== 'starting' && !leaving) return []
    const onHost = instance.networkUuid === undefined && instance.networkFromContainerUuid === undefined
    const address =
      addressOf(instance, this.#reader) ?? (onHost ? this.#reader.get('host', hostUuid)?.agentIp : undefined)
    if (address === undefined || address === '') return []
    return [
      {
        ...{ id: `${uuid}/${instance.startCount}/${port}`, address, port, weight, hostUuid },
        ...{ health: healthOf(instance, checked), leaving },
      },
    ]
  }
}

function base(
  rule: PortRule,
  index: number,
): Pick<TargetedRule, 'sourcePort' | 'protocol' | 'priority' | 'index' | keyof TargetRule> {
  const { sourcePort, protocol, priority, hostname, path, backendName } = rule
  return {
    ...{ sourcePort, protocol, priority, index },
    ...(hostname === undefined ? {} : { hostname }),
    ...(path === undefined ? {} : { path }),
    ...(backendName === undefined ? {} : { backendName }),
  }
}

/** Finds the targets of all port rules of a balancer. A rule that nobody answers to is still one: it says where not to go. */
export function targetedRules(reader: ModelReader, balancer: ServiceInfo): TargetedRules {
  const resolver = new Resolver(reader, balancer)
  const rules = (balancer.lbConfig?.portRules ?? []).flatMap((rule, index) => resolver.rulesOf(rule, index))
  return { rules, problems: resolver.problems, environments: resolver.environments }
}
