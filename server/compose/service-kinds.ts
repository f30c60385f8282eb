/** Services without containers: names for other services, or for what is outside. People ask for them by image. */
import { isHostName } from '../../dns/index.ts'
import { parseIpv4, parseIpv6 } from '../../kit/index.ts'
import type { Service } from '../model/index.ts'

/** Images that nobody ever pulled: they say what the service is. */
const KINDS: ReadonlyMap<string, Service['kind']> = new Map([
  ['rancher/dns-service', 'dnsService'],
  ['rancher/external-service', 'externalService'],
])

export function serviceKind(image: string): Service['kind'] {
  return KINDS.get(image.replace(/:[^/:]*$/, '')) ?? 'service'
}

/** Whether services of this kind have containers. */
export function hasContainers(kind: Service['kind']): boolean {
  return kind === 'service'
}

/** Whether `address` can be where an external service is. */
export function isExternalAddress(address: string): boolean {
  return parseIpv4(address) !== undefined || parseIpv6(address) !== undefined
}

export function isExternalName(name: string): boolean {
  return isHostName(name)
}
