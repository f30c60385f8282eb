/** What the server makes of an APIService. Pure. */
import type { Backend } from '../backends/index.ts'
import type { Frozen } from '../json.ts'
import type { ApiService } from '../objects.ts'

/** `kind` of their keys in the store. */
export const API_SERVICES_KIND = 'apiregistration.k8s.io/apiservices'
/** Says that the server looks after the object: `onstart`, or `true` for those of custom kinds. */
export const AUTOMANAGED_LABEL = 'kube-aggregator.kubernetes.io/automanaged'
const DEFAULT_PORT = 443

/** Of the group of custom kinds, and of their versions. */
export const CUSTOM_PRIORITIES = { group: 1000, version: 100 } as const

/** What its object is called. */
export function apiServiceName(group: string, version: string): string {
  return `${version}.${group}`
}

export function isAvailable({ status }: Frozen<ApiService>): boolean {
  return status?.conditions?.find(({ type }) => type === 'Available')?.status === 'True'
}

/** Where it is served, without whom it is asked as; undefined for what this server serves itself. */
export function backendOf({ spec }: Frozen<ApiService>): Backend | undefined {
  const { service, caBundle = '', insecureSkipTLSVerify } = spec
  if (service === undefined) return undefined
  const { namespace = '', name = '', port = DEFAULT_PORT } = service
  return {
    address: { type: 'service', namespace, name, port },
    trust:
      insecureSkipTLSVerify === true
        ? { type: 'anyone' }
        : caBundle === ''
          ? { type: 'public' }
          : { type: 'authority', certificates: Buffer.from(caBundle, 'base64').toString('utf8') },
  }
}
