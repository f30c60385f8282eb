/** Services of special kinds, which people ask for by image: load balancers, and services without containers. */
import { isHostName } from '../../dns/index.ts'
import { parseIpv4, parseIpv6 } from '../../kit/index.ts'
import { BALANCER_IMAGE } from '../../protocol/index.ts'
import type { Service } from '../model/index.ts'

const withoutTag = (image: string) => image.replace(/:[^/:]*$/, '')

/** Images that nobody pulls: they say what the service is. */
const KINDS: ReadonlyMap<string, Service['kind']> = new Map([
  [withoutTag(BALANCER_IMAGE), 'loadBalancerService'],
  ['rancher/lb-service-haproxy', 'loadBalancerService'],
  ['rancher/load-balancer-service', 'loadBalancerService'],
  ['rancher/dns-service', 'dnsService'],
  ['rancher/external-service', 'externalService'],
])

export function serviceKind(image: string): Service['kind'] {
  return KINDS.get(withoutTag(image)) ?? 'service'
}

/** The image that containers are made from: balancers are all made from ours. */
export function imageOfKind(kind: Service['kind'], image: string): string {
  return kind === 'loadBalancerService' ? BALANCER_IMAGE : image
}

/** Whether services of this kind have containers. */
export function hasContainers(kind: Service['kind']): boolean {
  return kind === 'service' || kind === 'loadBalancerService'
}

/** Whether `address` can be where an external service is. */
export function isExternalAddress(address: string): boolean {
  return parseIpv4(address) !== undefined || parseIpv6(address) !== undefined
}

export function isExternalName(name: string): boolean {
  return isHostName(name)
}
