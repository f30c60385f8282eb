/** The names of one service: its own, those of its endpoints, its ports, and whose its addresses are. */
import { isIPv4 } from 'node:net'
import {
  AddressSet,
  CanonicalName,
  CLUSTER_DOMAIN,
  type Found,
  isHostName,
  type PortRecord,
} from '../../../../dns/index.ts'
import type { ServiceRecord, SliceRecord } from '../../../cluster/index.ts'

/** An endpoint that may be given out. */
interface PublishedEndpoint {
  /** What it is called below its service: by its hostname, where it has one, and by its address. */
  readonly labels: readonly string[]
  readonly address: string
  readonly slice: SliceRecord
}

/** `10.42.0.7` as a label: what an endpoint without a hostname is called. */
function addressLabel(address: string): string {
  return address.replaceAll(/[.:]/g, '-')
}

export class ServiceNames {
  readonly #slices = new Map<string, SliceRecord>()
  readonly #sets = new Map<string, AddressSet>()
  #service: ServiceRecord | undefined
  #alias: CanonicalName | undefined

  get service(): ServiceRecord | undefined {
    return this.#service
  }

  set service(record: ServiceRecord | undefined) {
    this.#service = record
    const target = record?.externalName ?? ''
    this.#alias = isHostName(target) ? new CanonicalName(target) : undefined
    this.#invalidate()
  }

  putSlice(record: SliceRecord): void {
    this.#slices.set(record.name, record)
    this.#invalidate()
  }

  removeSlice(name: string): void {
    this.#slices.delete(name)
    this.#invalidate()
  }

  get idle(): boolean {
    return this.#service === undefined && this.#slices.size === 0
  }

  /** The service; undefined where only slices speak of it. */
  find(): Found | undefined {
    if (this.#service === undefined) return undefined
    if (this.#service.externalName !== undefined) return this.#alias ?? 'empty'
    return this.#set('', () => this.#ownAddresses())
  }

  /** One of its endpoints, by hostname or by its address as `10-42-0-7`. */
  endpoint(label: string): Found | undefined {
    if (this.#service === undefined || this.#service.externalName !== undefined) return undefined
    const matching = () => this.#published().filter(({ labels }) => labels.includes(label))
    return matching().length === 0
      ? undefined
      : this.#set(label, () => matching().map(({ address }) => address))
  }

  /** What decides which names there are: equal before and after changes that concern addresses alone. */
  naming(): string {
    const service = this.#service
    if (service === undefined) return ''
    const ports = new Set(this.#ports('').map(({ name, protocol }) => `${name}/${protocol}`))
    const labels = new Set(this.#published().flatMap(({ labels: own }) => own))
    return JSON.stringify([service.externalName, [...ports].sort(), [...labels].sort()])
  }

  /** Its addresses with the full names that they have here. */
  reversed(): readonly (readonly [address: string, name: string])[] {
    if (this.#service === undefined) return []
    const { addresses } = this.#service
    const name = this.#fullName()
    if (!this.#headless) return addresses.map(address => [address, name] as const)
    return this.#published().map(({ address, labels: [label] }) => [address, `${label}.${name}`] as const)
  }

  get #headless(): boolean {
    return this.#service?.externalName === undefined && this.#service?.addresses.length === 0
  }

  #fullName(): string {
    return `${this.#service?.name}.${this.#service?.namespace}.svc.${CLUSTER_DOMAIN}`
  }

  #ownAddresses(): readonly string[] {
    return this.#headless ? this.#published().map(({ address }) => address) : (this.#service?.addresses ?? [])
  }

  #published(): PublishedEndpoint[] {
    const everything = this.#service?.publishesUnready === true
    return [...this.#slices.values()].flatMap(slice =>
      slice.endpoints
        .filter(({ ready }) => ready || everything)
        .flatMap(({ addresses, hostname }) =>
          addresses.map(address => ({
            labels: [...(hostname === undefined ? [] : [hostname]), addressLabel(address)],
            address,
            slice,
          })),
        ),
    )
  }

  /** @param label of the endpoint that is meant; empty for the service */
  #ports(label: string): PortRecord[] {
    const name = this.#fullName()
    const [first] = this.#service?.addresses ?? []
    if (label === '' && first !== undefined) {
      return (this.#service?.ports ?? []).map(port => ({ ...port, target: name, address: first }))
    }
    return this.#published()
      .filter(({ labels }) => label === '' || labels.includes(label))
      .flatMap(endpoint =>
        endpoint.slice.ports.map(port => ({
          ...port,
          target: `${endpoint.labels[0]}.${name}`,
          address: endpoint.address,
        })),
      )
  }

  /** Those that are not ready are left out before, so that no answer is made of them alone. */
  #set(label: string, addresses: () => readonly string[]): AddressSet {
    const present = this.#sets.get(label)
    if (present !== undefined) return present
    const set = new AddressSet(
      () => addresses().map(address => ({ address, healthy: true })),
      () => this.#ports(label),
    )
    this.#sets.set(label, set)
    return set
  }

  #invalidate(): void {
    const labels = new Set(this.#published().flatMap(({ labels: own }) => own))
    for (const [label, set] of this.#sets) {
      set.invalidate()
      if (label !== '' && !labels.has(label)) this.#sets.delete(label)
    }
  }
}

/** The address that a label such as `10-42-0-7` stands for; undefined when it stands for none. */
export function addressOfLabel(label: string): string | undefined {
  const address = label.replaceAll('-', '.')
  return isIPv4(address) ? address : undefined
}
