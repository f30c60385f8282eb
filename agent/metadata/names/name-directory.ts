/** What the DNS server is told about its clients and their names, from the metadata. */
import { isDeepStrictEqual } from 'node:util'
import {
  type ClientDirectory,
  type ClientView,
  dnsLabel,
  type Found,
  type Scope,
} from '../../../dns/index.ts'
import type { InstanceInfo, MetadataObject } from '../../../protocol/index.ts'
import { linkedService, type MetadataModel, type ObjectChange } from '../model/index.ts'
import type { Requesters } from '../requesters/index.ts'
import { AddressBook } from './address-book.ts'
import { EnvironmentNames } from './environment-names.ts'
import type { ClusterNames } from './kubernetes/index.ts'

/** What of an object decides which names there are, and who sees them as what. */
function namingOf(object: MetadataObject | undefined): readonly unknown[] {
  switch (object?.infoType) {
    case 'instance': {
      const { name, environmentUuid, hostUuid, stackUuid, serviceUuid, sidekick, state } = object
      // Who of several speaks for an address depends on who runs.
      return [
        name,
        environmentUuid,
        hostUuid,
        object.primaryIp,
        object.primaryIpv6,
        stackUuid,
        serviceUuid,
        sidekick,
        state === 'running',
        object.ports.length,
      ]
    }
    case 'service':
      return [
        ...[object.name, object.environmentUuid, object.stackUuid, object.sidekicks, object.links],
        ...[object.kind, object.hostname, object.externalIps.length],
      ]
    case 'stack':
      return [object.name, object.environmentUuid]
    case 'environment':
      return [object.name]
    default:
      return []
  }
}

function changesNames({ object, previous }: ObjectChange): boolean {
  return !isDeepStrictEqual(namingOf(object), namingOf(previous))
}

export class NameDirectory implements ClientDirectory {
  readonly #model: MetadataModel
  readonly #requesters: Requesters
  readonly #addresses: AddressBook
  readonly #kubernetes: ClusterNames | undefined
  #version = 0

  /** @param kubernetes the names of the cluster's services and pods, where something knows them */
  constructor(model: MetadataModel, requesters: Requesters, kubernetes?: ClusterNames) {
    this.#kubernetes = kubernetes
    this.#model = model
    this.#requesters = requesters
    this.#addresses = new AddressBook(model, () => {
      this.#version += 1
    })
    model.onChange(changes => {
      this.#addresses.forget(changes)
      if (changes.some(changesNames)) this.#version += 1
    })
  }

  get version(): number {
    return this.#version + this.#requesters.version + (this.#kubernetes?.version ?? 0)
  }

  viewOf(address: string): ClientView | undefined {
    const requester = this.#requesters.of(address)
    switch (requester?.kind) {
      case undefined:
        return undefined
      case 'host':
        return {
          kind: 'host',
          environment: label => this.#environment(label),
          reverse: one => this.#reverse(one, undefined),
          kubernetes: this.#kubernetes,
        }
      case 'unknown':
        return this.#stranger
      case 'container':
        return this.#memberView(requester.instance)
    }
  }

  get #stranger(): ClientView {
    return { kind: 'stranger', kubernetes: this.#kubernetes }
  }

  whenKnown(address: string, milliseconds: number, signal: AbortSignal): Promise<void> {
    return this.#requesters.whenKnown(address, milliseconds, signal)
  }

  /** Names of the environment first; an address may also belong to a service of Kubernetes, or to one of its endpoints. */
  #reverse(address: string, environmentUuid: string | undefined): readonly string[] | undefined {
    const own = this.#addresses.namesOf(address, environmentUuid)
    const others = this.#kubernetes?.reverse(address)
    return own === undefined && others === undefined ? undefined : [...(own ?? []), ...(others ?? [])]
  }

  #environment(label: string): Scope | undefined {
    const environment = this.#model.list('environment', 'label', label)[0]
    return environment && new EnvironmentNames(this.#model, this.#addresses, environment.uuid)
  }

  #memberView(instance: InstanceInfo): ClientView {
    const environment = this.#model.get('environment', instance.environmentUuid)
    if (environment === undefined) return this.#stranger
    return {
      kind: 'member',
      scope: new EnvironmentNames(this.#model, this.#addresses, environment.uuid),
      environment: dnsLabel(environment.name),
      stack: this.#model.get('stack', instance.stackUuid)?.name.toLowerCase(),
      aliases: this.#aliases(instance),
      reverse: address => this.#reverse(address, environment.uuid),
      kubernetes: this.#kubernetes,
    }
  }

  /** By its alias, and by alias and the linked service's stack. */
  #aliases(instance: InstanceInfo): ReadonlyMap<string, Found> {
    const service = this.#model.get('service', instance.serviceUuid)
    const aliases = new Map<string, Found>()
    for (const { alias, name } of service?.links ?? []) {
      const target = service && linkedService(this.#model, service, name)
      if (target === undefined) continue
      const stack = this.#model.get('stack', target.stackUuid)
      const addresses = this.#addresses.service(target)
      aliases.set(alias.toLowerCase(), addresses)
      if (stack !== undefined) aliases.set(`${alias}.${stack.name}`.toLowerCase(), addresses)
    }
    return aliases
  }
}
