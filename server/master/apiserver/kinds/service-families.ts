/**
 * Which families of addresses a service has. Services have cluster addresses of IPv4 alone, whatever pods have: a service
 * that asks for IPv6 is refused as by every cluster whose services are single-stack.
 */
import { isIPv6 } from 'node:net'
import type { Frozen } from '../json.ts'
import type { Service } from '../objects.ts'
import { duplicate, type FieldProblem, invalid, notSupported } from '../problems.ts'

const DEFAULT_FAMILY = 'IPv4'
const FAMILIES = [DEFAULT_FAMILY, 'IPv6']

/** Its endpoints are written by somebody else, who may name addresses of any family. */
function hasForeignEndpoints({ spec }: Frozen<Service>): boolean {
  return spec.clusterIP === 'None' && Object.keys(spec.selector ?? {}).length === 0
}

/** Who leaves out what was chosen before keeps it. */
export function keepFamilies(service: Service, old: Frozen<Service>): void {
  const { spec } = service
  if (spec.type === 'ExternalName') {
    if (old.spec.type === 'ExternalName') return
    // What no service of this type has goes, unless it was given anew.
    if (spec.ipFamilyPolicy === old.spec.ipFamilyPolicy) delete spec.ipFamilyPolicy
    if (spec.ipFamilies?.join() === old.spec.ipFamilies?.join()) delete spec.ipFamilies
    return
  }
  if (spec.ipFamilyPolicy === undefined && old.spec.ipFamilyPolicy !== undefined) {
    spec.ipFamilyPolicy = old.spec.ipFamilyPolicy
  }
  if (spec.ipFamilies === undefined && old.spec.ipFamilies !== undefined) {
    spec.ipFamilies = [...old.spec.ipFamilies]
  }
  // Who wants one family of two means the first.
  if (spec.ipFamilyPolicy === 'SingleStack' && spec.ipFamilies?.join() === old.spec.ipFamilies?.join()) {
    spec.ipFamilies?.splice(1)
  }
}

export function completeFamilies(service: Service): void {
  const { spec } = service
  if (spec.type === 'ExternalName') return
  spec.ipFamilyPolicy ??= hasForeignEndpoints(service) ? 'RequireDualStack' : 'SingleStack'
  spec.ipFamilies ??= [DEFAULT_FAMILY]
  const [first = DEFAULT_FAMILY, second] = spec.ipFamilies
  if (hasForeignEndpoints(service) && spec.ipFamilyPolicy !== 'SingleStack' && second === undefined) {
    spec.ipFamilies = [first, ...FAMILIES.filter(family => family !== first)]
  }
}

/** @returns problems in the order in which the reference finds them; unsupported values hide what follows from them */
export function validateFamilies(service: Frozen<Service>): FieldProblem[] {
  const { spec } = service
  const { ipFamilies: families = [], ipFamilyPolicy: policy } = spec
  if (spec.type === 'ExternalName') return validateNone(service)
  const formal = families.flatMap((family, index) => {
    const field = `spec.ipFamilies[${index}]`
    if (!FAMILIES.includes(family)) return [notSupported(field, family, FAMILIES)]
    return families.indexOf(family) < index ? [duplicate(field, family)] : []
  })
  if (formal.length > 0) return formal
  if (policy === 'SingleStack' && families.length > 1) {
    const why = "must be 'RequireDualStack' or 'PreferDualStack' when multiple IP families are specified"
    return [invalid('spec.ipFamilyPolicy', policy, why)]
  }
  if (hasForeignEndpoints(service)) return []
  const problems: FieldProblem[] = []
  if (policy === 'RequireDualStack') {
    const why = 'this cluster is not configured for dual-stack services'
    problems.push(invalid('spec.ipFamilyPolicy', policy, why))
  }
  for (const [index, address] of (spec.clusterIPs ?? []).entries()) {
    if (!isIPv6(address)) continue
    problems.push(
      invalid(`spec.clusterIPs[${index}]`, spec.clusterIPs, 'IPv6 is not configured on this cluster'),
    )
  }
  for (const [index, family] of families.entries()) {
    if (family === DEFAULT_FAMILY) continue
    problems.push(invalid(`spec.ipFamilies[${index}]`, family, 'not configured on this cluster'))
  }
  return problems
}

function validateNone({ spec: { ipFamilies = [], ipFamilyPolicy } }: Frozen<Service>): FieldProblem[] {
  const why = 'may not be set for ExternalName services'
  return [
    ...(ipFamilies.length > 0 ? [invalid('spec.ipFamilies', ipFamilies, why)] : []),
    ...(ipFamilyPolicy === undefined ? [] : [invalid('spec.ipFamilyPolicy', ipFamilyPolicy, why)]),
  ]
}
