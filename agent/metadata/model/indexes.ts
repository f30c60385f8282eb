/** Under which keys each type of object is found. */
import { dnsLabel } from '../../../dns/index.ts'
import type { MetadataObject } from '../../../protocol/index.ts'

export type InfoType = MetadataObject['infoType']
export type InfoOf<Type extends InfoType> = Extract<MetadataObject, { infoType: Type }>

/** Keys are undefined for objects that are not in the index. */
type KeyFunction<T> = (object: T) => string | undefined
type Indexes<T> = Readonly<Record<string, KeyFunction<T>>>

/** The key of an index that holds every object of its type. */
export const EVERY = ''

const everything = () => EVERY

/** Key of the index `name`: names are compared without regard to case. */
export function nameKey(ownerUuid: string, name: string): string {
  return `${ownerUuid}/${name.toLowerCase()}`
}

/** Key of the index `address`: bridges of different hosts have the same addresses. */
export function addressKey(hostUuid: string, address: string): string {
  return `${hostUuid}/${address}`
}

export const indexes = {
  instance: {
    every: everything,
    environment: instance => instance.environmentUuid,
    name: instance => nameKey(instance.environmentUuid, instance.name),
    service: instance => instance.serviceUuid,
    networkParent: instance => instance.networkFromContainerUuid,
    /** Addresses that are the same on several hosts are those of several containers. */
    anywhere: instance => instance.primaryIp,
    anywhereIpv6: instance => instance.primaryIpv6,
    address: ({ hostUuid, primaryIp }) =>
      hostUuid === undefined || primaryIp === undefined ? undefined : addressKey(hostUuid, primaryIp),
  },
  service: {
    every: everything,
    environment: service => service.environmentUuid,
    stack: service => service.stackUuid,
    name: service => nameKey(service.environmentUuid, service.name),
    nameInStack: service => nameKey(service.stackUuid, service.name),
  },
  stack: {
    every: everything,
    environment: stack => stack.environmentUuid,
    name: stack => nameKey(stack.environmentUuid, stack.name),
  },
  host: { every: everything },
  network: { every: everything },
  environment: {
    every: everything,
    label: environment => dnsLabel(environment.name),
    system: environment => String(environment.system),
  },
} as const satisfies { readonly [Type in InfoType]: Indexes<InfoOf<Type>> }

export type IndexOf<Type extends InfoType> = keyof (typeof indexes)[Type] & string
