/** Cluster addresses and node ports of one cluster's services: who has which. */
import { randomInt } from 'node:crypto'
import {
  formatIpv4,
  formatIpv4Block,
  type Ipv4Block,
  ipv4BlockContains,
  ipv4BlockSize,
  parseIpv4,
  requireIpv4Block,
} from '../../../../kit/index.ts'
import { SERVICE_BLOCK } from '../../../../protocol/index.ts'
import type { Frozen } from '../json.ts'
import type { Service } from '../objects.ts'
import { type FieldProblem, invalid } from '../problems.ts'
import type { ReserveResult } from './strategy.ts'

const BLOCK: Ipv4Block = requireIpv4Block(SERVICE_BLOCK, 'service addresses')
/** Address of the service `kubernetes`, the way into the API from inside. */
export const KUBERNETES_SERVICE_ADDRESS = formatIpv4(BLOCK.base + 1)
const LOWEST_NODE_PORT = 30_000
const HIGHEST_NODE_PORT = 32_767

/** Numbers of a range, each taken by at most one holder. */
class NumberPool {
  readonly #lowest: number
  readonly #size: number
  readonly #taken = new Set<number>()

  constructor(lowest: number, highest: number) {
    this.#lowest = lowest
    this.#size = highest - lowest + 1
  }

  take(number: number): boolean {
    if (this.#taken.has(number)) return false
    this.#taken.add(number)
    return true
  }

  free(number: number): void {
    this.#taken.delete(number)
  }

  /** Takes any free number; a random one, so that a number is not handed out again at once. */
  takeAny(): number | undefined {
    const start = randomInt(this.#size)
    for (let step = 0; step < this.#size; step += 1) {
      const number = this.#lowest + ((start + step) % this.#size)
      if (this.take(number)) return number
    }
    return undefined
  }
}

function addressOf(service: Frozen<Service>): number | undefined {
  return parseIpv4(service.spec.clusterIP ?? '')
}

function nodePortsOf(service: Frozen<Service>): number[] {
  const { ports = [], healthCheckNodePort = 0 } = service.spec
  return [...ports.map(({ nodePort = 0 }) => nodePort), healthCheckNodePort].filter(port => port !== 0)
}

export function wantsClusterIp({ spec }: Frozen<Service>): boolean {
  return spec.type !== 'ExternalName' && spec.clusterIP !== 'None'
}

export function wantsNodePorts({ spec }: Frozen<Service>): boolean {
  return (
    spec.type === 'NodePort' || (spec.type === 'LoadBalancer' && spec.allocateLoadBalancerNodePorts !== false)
  )
}

/** Whether nodes say on a port of their own whether they have endpoints of it: balancers send clients to those alone. */
export function wantsHealthCheckPort({ spec }: Frozen<Service>): boolean {
  return spec.type === 'LoadBalancer' && spec.externalTrafficPolicy === 'Local'
}

interface Taken {
  readonly addresses: number[]
  readonly ports: number[]
}

export class ServiceAddresses {
  readonly #services: () => Iterable<Frozen<Service>>
  #pools: { readonly addresses: NumberPool; readonly ports: NumberPool } | undefined

  /** @param services the services that exist when the first address is asked for */
  constructor(services: () => Iterable<Frozen<Service>>) {
    this.#services = services
  }

  #open() {
    if (this.#pools !== undefined) return this.#pools
    const { base } = BLOCK
    const pools = {
      // Neither the first nor the last address of a block is anybody's.
      addresses: new NumberPool(base + 1, base + ipv4BlockSize(BLOCK) - 2),
      ports: new NumberPool(LOWEST_NODE_PORT, HIGHEST_NODE_PORT),
    }
    for (const service of this.#services()) {
      const address = addressOf(service)
      if (address !== undefined) pools.addresses.take(address)
      for (const port of nodePortsOf(service)) pools.ports.take(port)
    }
    this.#pools = pools
    return pools
  }

  /** Takes the address and ports that `service` asks for or needs, and writes them into it. */
  reserve(service: Service, old: Frozen<Service> | undefined): ReserveResult {
    const taken: Taken = { addresses: [], ports: [] }
    const problems = [
      ...this.#reserveAddress(service, old, taken),
      ...this.#reservePorts(service, old, taken),
    ]
    if (problems.length > 0) {
      this.#free(taken)
      return { kind: 'refused', problems }
    }
    const dropped = old === undefined ? { addresses: [], ports: [] } : this.#dropped(service, old)
    return {
      kind: 'reserved',
      reservation: { commit: () => this.#free(dropped), cancel: () => this.#free(taken) },
    }
  }

  release(service: Frozen<Service>): void {
    const address = addressOf(service)
    this.#free({ addresses: address === undefined ? [] : [address], ports: nodePortsOf(service) })
  }

  #free(taken: Taken): void {
    const pools = this.#open()
    for (const address of taken.addresses) pools.addresses.free(address)
    for (const port of taken.ports) pools.ports.free(port)
  }

  #dropped(service: Service, old: Frozen<Service>): Taken {
    const address = addressOf(old)
    const kept = new Set(nodePortsOf(service))
    return {
      addresses: address === undefined || address === addressOf(service) ? [] : [address],
      ports: nodePortsOf(old).filter(port => !kept.has(port)),
    }
  }

  #reserveAddress(service: Service, old: Frozen<Service> | undefined, taken: Taken): FieldProblem[] {
    if (!wantsClusterIp(service)) return []
    const { spec } = service
    const asked = spec.clusterIP ?? ''
    if (old !== undefined && asked !== '' && asked === old.spec.clusterIP) return []
    const refuse = (why: string) => [
      invalid('spec.clusterIPs', spec.clusterIPs ?? [asked], `failed to allocate IP ${asked}: ${why}`),
    ]
    const pool = this.#open().addresses
    let address = parseIpv4(asked)
    if (asked !== '') {
      if (address === undefined) return [invalid('spec.clusterIPs[0]', asked, 'must be a valid IP address')]
      if (!ipv4BlockContains(BLOCK, address)) {
        return refuse(
          `the provided IP is not in the valid range. The range of valid IPs is ${formatIpv4Block(BLOCK)}`,
        )
      }
      if (!pool.take(address)) return refuse('provided IP is already allocated')
    } else {
      address = pool.takeAny()
      if (address === undefined) return refuse('range is full')
    }
    taken.addresses.push(address)
    spec.clusterIP = formatIpv4(address)
    spec.clusterIPs = [spec.clusterIP]
    return []
  }

  #reservePorts(service: Service, old: Frozen<Service> | undefined, taken: Taken): FieldProblem[] {
    const own = new Set(old === undefined ? [] : nodePortsOf(old))
    const { spec } = service
    const problems: FieldProblem[] = []
    for (const [index, port] of (wantsNodePorts(service) ? (spec.ports ?? []) : []).entries()) {
      const got = this.#reservePort(`spec.ports[${index}].nodePort`, port.nodePort ?? 0, own, taken)
      if (typeof got === 'number') port.nodePort = got
      else problems.push(got)
    }
    if (wantsHealthCheckPort(service)) {
      const got = this.#reservePort('spec.healthCheckNodePort', spec.healthCheckNodePort ?? 0, own, taken)
      if (typeof got === 'number') spec.healthCheckNodePort = got
      else problems.push(got)
    }
    return problems
  }

  /** @param own ports that the service has already */
  #reservePort(field: string, asked: number, own: ReadonlySet<number>, taken: Taken): number | FieldProblem {
    if (own.has(asked)) return asked
    if (asked !== 0 && (asked < LOWEST_NODE_PORT || asked > HIGHEST_NODE_PORT)) {
      const range = `${LOWEST_NODE_PORT}-${HIGHEST_NODE_PORT}`
      const why = `provided port is not in the valid range. The range of valid ports is ${range}`
      return invalid(field, asked, why)
    }
    const pool = this.#open().ports
    if (asked !== 0 && !pool.take(asked)) return invalid(field, asked, 'provided port is already allocated')
    const number = asked === 0 ? pool.takeAny() : asked
    if (number === undefined) return invalid(field, asked, 'range is full')
    taken.ports.push(number)
    return number
  }
}
