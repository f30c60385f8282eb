/** What is said of APIServices: whether they can be used, in the words of Kubernetes' aggregator. Pure. */
import {
  type ApiService,
  type Condition,
  type CustomResourceDefinition,
  type EndpointSlice,
  type Frozen,
  formatTime,
  isEstablished,
  type Service,
} from '../apiserver/index.ts'

export interface Verdict {
  readonly status: 'True' | 'False'
  readonly reason: string
  readonly message: string
}

export const PASSED: Verdict = { status: 'True', reason: 'Passed', message: 'all checks passed' }

/** Where the discovery of a version is, for messages. */
function discoveryOf({ spec }: Frozen<ApiService>): string {
  const { name = '', namespace = '', port = 443 } = spec.service ?? {}
  return `https://${name}.${namespace}.svc:${port}/apis/${spec.group ?? ''}/${spec.version}`
}

/** @param reason why it did not answer as it should */
export function failedDiscovery(service: Frozen<ApiService>, reason: string): Verdict {
  const message = `failing or missing response from ${discoveryOf(service)}: ${reason}`
  return { status: 'False', reason: 'FailedDiscoveryCheck', message: message.slice(0, 1_024) }
}

/**
 * What stands in the way before anybody is asked; undefined when nothing does.
 *
 * @param slices of the service
 */
export function obstacle(
  { spec }: Frozen<ApiService>,
  service: Frozen<Service> | undefined,
  slices: readonly Frozen<EndpointSlice>[],
): Verdict | undefined {
  const { name = '', namespace = '', port: wanted = 443 } = spec.service ?? {}
  const text = `service/${name} in ${JSON.stringify(namespace)}`
  if (service === undefined)
    return { status: 'False', reason: 'ServiceNotFound', message: `${text} is not present` }
  const port = service.spec.ports?.find(each => each.port === wanted)
  if (port === undefined) {
    const message = `${text} is not listening on port ${wanted}`
    return { status: 'False', reason: 'ServicePortError', message }
  }
  if (slices.length === 0) {
    const message = `cannot find endpointslices for ${text}`
    return { status: 'False', reason: 'EndpointsNotFound', message }
  }
  const portName = port.name ?? ''
  const serves = slices.some(
    ({ ports, endpoints }) =>
      ports?.some(each => (each.name ?? '') === portName) === true &&
      endpoints?.some(({ conditions }) => conditions?.ready !== false) === true,
  )
  if (serves) return undefined
  const message = `endpointslices for ${text} have no addresses with port name ${JSON.stringify(portName)}`
  return { status: 'False', reason: 'MissingEndpoints', message }
}

/** The conditions with a verdict; the same when it says nothing new. @param now milliseconds since 1970 */
export function withVerdict(
  { status }: Frozen<ApiService>,
  verdict: Verdict,
  now: number,
): readonly Frozen<Condition>[] {
  const conditions = status?.conditions ?? []
  const present = conditions.find(({ type }) => type === 'Available')
  const { reason, message } = verdict
  if (present?.status === verdict.status && present.reason === reason && present.message === message)
    return conditions
  const lastTransitionTime =
    present?.status === verdict.status ? (present.lastTransitionTime ?? formatTime(now)) : formatTime(now)
  const available = { type: 'Available', status: verdict.status, lastTransitionTime, reason, message }
  return [...conditions.filter(({ type }) => type !== 'Available'), available]
}

/** Group and version of everything that a definition lets be served. */
export function servedVersions(
  definition: Frozen<CustomResourceDefinition>,
): readonly { readonly group: string; readonly version: string }[] {
  const { group, versions } = definition.spec
  if (!isEstablished(definition) || definition.metadata.deletionTimestamp !== undefined) return []
  return versions.filter(({ served }) => served).map(({ name: version }) => ({ group, version }))
}
