/** What a balancer does with UDP. Pure: metadata in, ports and who answers at them out. */
import { isIPv4 } from 'node:net'
import type { UdpBackend, UdpBalancerPort } from '../../netplugins/udp-balancer/index.ts'
import type { ServiceInfo } from '../../protocol/index.ts'
import type { ModelReader } from '../metadata/index.ts'
import { endpointsOf, localityOf } from './endpoints.ts'
import { type TargetedRule, targetedRules } from './targets.ts'

export interface UdpPorts {
  readonly ports: readonly UdpBalancerPort[]
  /** What cannot be carried out, for people; the rest is. */
  readonly problems: readonly string[]
}

function backendsOf(rules: readonly TargetedRule[], locality: string, hostUuid: string): UdpBackend[] {
  const targets = rules.flatMap(rule => rule.targets).filter(({ address }) => isIPv4(address))
  const leaving = new Set(targets.filter(target => target.leaving).map(({ id }) => id))
  return endpointsOf(targets, locality, hostUuid, false).flatMap(
    ({ id, address, port, weight, draining }) => {
      if (!draining) return [{ address, port, weight }]
      // Who fails loses its clients, too: no connection that breaks tells them to come again.
      return leaving.has(id) ? [{ address, port, weight: 0 }] : []
    },
  )
}

/**
 * Ports in ascending order.
 *
 * @param hostUuid where the balancer runs
 */
export function udpPorts(reader: ModelReader, service: ServiceInfo, hostUuid: string): UdpPorts {
  const rules = targetedRules(reader, service).rules.filter(({ protocol }) => protocol === 'udp')
  const locality = localityOf(service)
  const problems = rules
    .filter(({ names, targets }) => names.length > 0 || targets.some(({ address }) => !isIPv4(address)))
    .map(({ index }) => `rule ${index + 1}: UDP is led to IPv4 addresses only, not to host names`)
  const ports = [...Map.groupBy(rules, ({ sourcePort }) => sourcePort)]
    .map(([port, same]) => ({ port, backends: backendsOf(same, locality, hostUuid) }))
    .toSorted((a, b) => a.port - b.port)
  return { ports, problems: [...new Set(problems)] }
}
