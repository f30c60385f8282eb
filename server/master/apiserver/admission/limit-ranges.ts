/** Limits of a namespace (Kubernetes' LimitRanger): what containers get that ask for nothing, and how much is too much. */
import type { Frozen } from '../json.ts'
import type { Container, LimitRange, LimitRangeItem, PersistentVolumeClaim, Pod } from '../objects.ts'
import { quantityValue } from '../schema/index.ts'
import { forbidden } from '../status.ts'
import type { AdmissionRequest } from './request.ts'

const ANNOTATION = 'kubernetes.io/limit-ranger'

type Amounts = Readonly<Record<string, string>>

function rangesOf({ cluster, namespace }: AdmissionRequest): Frozen<LimitRange>[] {
  return cluster.list('limitranges', namespace).map(stored => cluster.read(stored) as Frozen<LimitRange>)
}

function itemsOf(ranges: readonly Frozen<LimitRange>[], type: string): Frozen<LimitRangeItem>[] {
  return ranges.flatMap(({ spec }) => spec.limits.filter(limit => limit.type === type))
}

function value(text: string | undefined): number | undefined {
  return text === undefined ? undefined : quantityValue(text)
}

/** Adds what is missing. @returns the names of what was set */
function fill(into: Record<string, string>, defaults: Amounts | undefined): string[] {
  const missing = Object.keys(defaults ?? {}).filter(name => into[name] === undefined)
  for (const name of missing) into[name] = defaults?.[name] ?? ''
  return missing
}

function fillContainer(
  container: Container,
  items: readonly Frozen<LimitRangeItem>[],
  kind: string,
): string[] {
  const said: string[] = []
  for (const item of items) {
    const limits = { ...container.resources?.limits }
    const requests = { ...container.resources?.requests }
    const request = fill(requests, item.defaultRequest)
    const limit = fill(limits, item.default)
    if (request.length === 0 && limit.length === 0) continue
    container.resources = { ...container.resources, limits, requests }
    if (request.length > 0)
      said.push(`${request.toSorted().join(', ')} request for ${kind} ${container.name}`)
    if (limit.length > 0) said.push(`${limit.toSorted().join(', ')} limit for ${kind} ${container.name}`)
  }
  return said
}

/** Gives the containers of a new pod what its namespace has for those that ask for nothing. */
export function applyLimitDefaults(request: AdmissionRequest, pod: Pod): void {
  const items = itemsOf(rangesOf(request), 'Container')
  if (items.length === 0) return
  const said = [
    ...pod.spec.containers.flatMap(container => fillContainer(container, items, 'container')),
    ...(pod.spec.initContainers ?? []).flatMap(container =>
      fillContainer(container, items, 'init container'),
    ),
  ]
  if (said.length === 0) return
  pod.metadata.annotations = {
    ...pod.metadata.annotations,
    [ANNOTATION]: `LimitRanger plugin set: ${said.join('; ')}`,
  }
}

interface Use {
  readonly requests: Amounts
  readonly limits: Amounts
}

/** What one item of a limit range says against a use. */
function violations({ type, min, max, maxLimitRequestRatio }: Frozen<LimitRangeItem>, use: Use): string[] {
  const problems: string[] = []
  for (const [name, least] of Object.entries(min ?? {})) {
    const asked = use.requests[name]
    const limit = use.limits[name]
    if (asked === undefined) {
      problems.push(`minimum ${name} usage per ${type} is ${least}.  No request is specified`)
    } else if ((value(asked) ?? 0) < (value(least) ?? 0)) {
      problems.push(`minimum ${name} usage per ${type} is ${least}, but request is ${asked}`)
    } else if (limit !== undefined && (value(limit) ?? 0) < (value(least) ?? 0)) {
      problems.push(`minimum ${name} usage per ${type} is ${least}, but limit is ${limit}`)
    }
  }
  for (const [name, most] of Object.entries(max ?? {})) {
    const limit = use.limits[name]
    const asked = use.requests[name]
    if (limit === undefined && type !== 'PersistentVolumeClaim') {
      problems.push(`maximum ${name} usage per ${type} is ${most}.  No limit is specified`)
    } else if (limit !== undefined && (value(limit) ?? 0) > (value(most) ?? 0)) {
      problems.push(`maximum ${name} usage per ${type} is ${most}, but limit is ${limit}`)
    } else if (asked !== undefined && (value(asked) ?? 0) > (value(most) ?? 0)) {
      problems.push(`maximum ${name} usage per ${type} is ${most}, but request is ${asked}`)
    }
  }
  for (const [name, ratio] of Object.entries(maxLimitRequestRatio ?? {})) {
    const asked = value(use.requests[name])
    const limit = value(use.limits[name])
    if (asked === undefined || limit === undefined || asked === 0) {
      problems.push(
        `${name} max limit to request ratio per ${type} is ${ratio}, but no request is specified or request is 0`,
      )
    } else if (limit / asked > (value(ratio) ?? 0)) {
      const real = (limit / asked).toFixed(6)
      problems.push(
        `${name} max limit to request ratio per ${type} is ${ratio}, but provided ratio is ${real}`,
      )
    }
  }
  return problems
}

function add(sums: Map<string, number>, amounts: Amounts | undefined): void {
  for (const [name, text] of Object.entries(amounts ?? {})) {
    sums.set(name, (sums.get(name) ?? 0) + (value(text) ?? 0))
  }
}

/** What a whole pod uses: the sum of its containers, or the most that one of those before them needs. */
function podUse({ spec }: Frozen<Pod>): Use {
  const sum = (part: 'requests' | 'limits') => {
    const sums = new Map<string, number>()
    for (const { resources } of spec.containers) add(sums, resources?.[part])
    for (const { resources } of spec.initContainers ?? []) {
      const own = new Map<string, number>()
      add(own, resources?.[part])
      for (const [name, amount] of own) sums.set(name, Math.max(sums.get(name) ?? 0, amount))
    }
    return Object.fromEntries([...sums].map(([name, amount]) => [name, String(amount)]))
  }
  return { requests: sum('requests'), limits: sum('limits') }
}

/** Compares a new pod or claim with the limits of its namespace. @throws `Forbidden` naming all that it breaks */
export function requireWithinLimits(
  request: AdmissionRequest,
  object: Frozen<Pod> | Frozen<PersistentVolumeClaim>,
): void {
  const ranges = rangesOf(request)
  if (ranges.length === 0) return
  const problems: string[] = []
  const check = (type: string, use: Use) => {
    for (const item of itemsOf(ranges, type)) problems.push(...violations(item, use))
  }
  if (request.resource.resource === 'pods') {
    const pod = object as Frozen<Pod>
    for (const { resources } of [...pod.spec.containers, ...(pod.spec.initContainers ?? [])]) {
      check('Container', { requests: resources?.requests ?? {}, limits: resources?.limits ?? {} })
    }
    check('Pod', podUse(pod))
  } else {
    const { resources } = (object as Frozen<PersistentVolumeClaim>).spec
    check('PersistentVolumeClaim', { requests: resources?.requests ?? {}, limits: {} })
  }
  if (problems.length === 0) return
  const [first = '', another] = problems
  throw forbidden(
    request.resource,
    object.metadata.name ?? '',
    another === undefined ? first : `[${problems.join(', ')}]`,
  )
}
