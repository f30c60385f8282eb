/**
 * The names of a cluster's services and pods below `cluster.local`
 * (Kubernetes DNS-Based Service Discovery, schema version 1.1.0).
 */
import { AddressSet, type Found, type Scope } from '../../../../dns/index.ts'
import { ipv4BlockContains, parseIpv4, requireIpv4Block } from '../../../../kit/index.ts'
import type { ClusterCollections, ServiceRecord, SliceRecord } from '../../../cluster/index.ts'
import { addressOfLabel, ServiceNames } from './service-names.ts'

/** The addresses of containers: only these are given out as pods'. */
const POD_BLOCK = requireIpv4Block('10.42.0.0/16', 'pod addresses')

/** Names that may change. */
export interface ClusterNames extends Scope {
  /** Another number when names came or went. */
  readonly version: number
  /** Full names of an address; undefined for one that has none here. */
  reverse(address: string): readonly string[] | undefined
}

function isPodAddress(address: string): boolean {
  const value = parseIpv4(address)
  return value !== undefined && ipv4BlockContains(POD_BLOCK, value)
}

export class KubernetesNames implements ClusterNames {
  readonly #services = new Map<string, ServiceNames>()
  /** How many services each namespace has. */
  readonly #namespaces = new Map<string, number>()
  readonly #slices = new Map<string, SliceRecord>()
  readonly #reversed = new Map<string, Set<string>>()
  #version = 0

  get version(): number {
    return this.#version
  }

  /** `web.default.svc`, `web-0.web.default.svc`, `10-42-0-7.default.pod`. */
  find(relativeName: string): Found | undefined {
    const [zone, namespace, name, label, ...more] = relativeName.split('.').toReversed()
    if (zone === 'pod') return more.length > 0 || label !== undefined ? undefined : this.#pod(name)
    if (zone !== 'svc' || more.length > 0) return undefined
    if (namespace === undefined) return 'empty'
    if (name === undefined) return this.#namespaces.has(namespace) ? 'empty' : undefined
    const service = this.#services.get(`${namespace}/${name}`)
    return label === undefined ? service?.find() : service?.endpoint(label)
  }

  reverse(address: string): readonly string[] | undefined {
    const names = this.#reversed.get(address)
    return names && [...names]
  }

  /** Keeps to what the cluster has. */
  follow({ services, slices }: Pick<ClusterCollections, 'services' | 'slices'>): void {
    services.onChange((record, previous) => {
      if (record !== undefined) this.putService(record)
      else if (previous !== undefined) this.removeService(previous)
    })
    slices.onChange((record, previous) => {
      if (record !== undefined) this.putSlice(record)
      else if (previous !== undefined) this.removeSlice(previous)
    })
  }

  putService(record: ServiceRecord): void {
    const { namespace, name } = record
    this.#change(`${namespace}/${name}`, names => {
      if (names.service === undefined) this.#count(namespace, 1)
      names.service = record
    })
  }

  removeService({ namespace, name }: Pick<ServiceRecord, 'namespace' | 'name'>): void {
    this.#change(`${namespace}/${name}`, names => {
      if (names.service !== undefined) this.#count(namespace, -1)
      names.service = undefined
    })
  }

  putSlice(record: SliceRecord): void {
    const key = `${record.namespace}/${record.name}`
    const before = this.#slices.get(key)
    if (before !== undefined && before.service !== record.service) this.removeSlice(before)
    this.#slices.set(key, record)
    this.#change(`${record.namespace}/${record.service}`, names => names.putSlice(record))
  }

  removeSlice({ namespace, name }: Pick<SliceRecord, 'namespace' | 'name'>): void {
    const key = `${namespace}/${name}`
    const before = this.#slices.get(key)
    if (before === undefined) return
    this.#slices.delete(key)
    this.#change(`${namespace}/${before.service}`, names => names.removeSlice(name))
  }

  /** A pod's name says its address; whether there is such a pod is not known on this host. */
  #pod(label: string | undefined): Found | undefined {
    if (label === undefined) return 'empty'
    const address = addressOfLabel(label)
    if (address === undefined || !isPodAddress(address)) return undefined
    return new AddressSet(() => [{ address, healthy: true }])
  }

  #count(namespace: string, difference: number): void {
    const count = (this.#namespaces.get(namespace) ?? 0) + difference
    if (count > 0) this.#namespaces.set(namespace, count)
    else this.#namespaces.delete(namespace)
  }

  #change(key: string, change: (names: ServiceNames) => void): void {
    const names = this.#services.get(key) ?? new ServiceNames()
    const naming = names.naming()
    const reversed = names.reversed()
    change(names)
    this.#reverse(reversed, names.reversed())
    if (names.naming() !== naming) this.#version += 1
    if (names.idle) this.#services.delete(key)
    else this.#services.set(key, names)
  }

  #reverse(before: ReturnType<ServiceNames['reversed']>, after: ReturnType<ServiceNames['reversed']>): void {
    for (const [address, name] of before) {
      const names = this.#reversed.get(address)
      names?.delete(name)
      if (names?.size === 0) this.#reversed.delete(address)
    }
    for (const [address, name] of after) {
      const names = this.#reversed.get(address) ?? new Set<string>()
      this.#reversed.set(address, names.add(name))
    }
    if (JSON.stringify(before) !== JSON.stringify(after)) this.#version += 1
  }
}
