/** Services: addresses, ports and the rules between their fields. */
import { isIP } from 'node:net'
import type { Frozen } from '../json.ts'
import { duplicateNames, validateLabels } from '../metadata.ts'
import { checkDns1035Label, checkDnsLabel, checkDnsSubdomain } from '../names.ts'
import type { Service, ServicePort } from '../objects.ts'
import { servicePrinter } from '../printing/index.ts'
import { duplicate, type FieldProblem, forbiddenField, invalid, notSupported, required } from '../problems.ts'
import { wantsClusterIp, wantsHealthCheckPort, wantsNodePorts } from './service-addresses.ts'
import { completeFamilies, keepFamilies, validateFamilies } from './service-families.ts'
import { defineStrategy, selectableFields } from './strategy.ts'

const HIGHEST_PORT = 65_535
const DISTRIBUTIONS = ['PreferClose', 'PreferSameNode', 'PreferSameZone']
const DEFAULT_AFFINITY_SECONDS = 10_800

function complete(service: Service): void {
  const { spec } = service
  // Programs in Go write what was left out as 0.
  for (const port of spec.ports ?? []) port.targetPort ||= port.port
  if (spec.type === 'ExternalName') return
  if (spec.clusterIP !== undefined && spec.clusterIPs === undefined) spec.clusterIPs = [spec.clusterIP]
  if (spec.clusterIP === undefined && spec.clusterIPs?.[0] !== undefined) spec.clusterIP = spec.clusterIPs[0]
  completeFamilies(service)
  spec.internalTrafficPolicy ??= 'Cluster'
  if (spec.sessionAffinity === 'ClientIP') {
    spec.sessionAffinityConfig ??= { clientIP: { timeoutSeconds: DEFAULT_AFFINITY_SECONDS } }
  }
  if (spec.type === 'NodePort' || spec.type === 'LoadBalancer') spec.externalTrafficPolicy ??= 'Cluster'
  if (spec.type === 'LoadBalancer') spec.allocateLoadBalancerNodePorts ??= true
}

function validatePort(port: ServicePort, field: string, nameRequired: boolean): FieldProblem[] {
  const problems: FieldProblem[] = []
  if (port.name === undefined || port.name === '') {
    if (nameRequired) problems.push(required(`${field}.name`))
  } else {
    const problem = checkDnsLabel(port.name)
    if (problem !== undefined) problems.push(invalid(`${field}.name`, port.name, problem))
  }
  for (const [name, value] of [
    ['port', port.port],
    ['targetPort', port.targetPort],
  ] as const) {
    if (typeof value === 'number' && (value < 1 || value > HIGHEST_PORT)) {
      problems.push(invalid(`${field}.${name}`, value, `must be between 1 and ${HIGHEST_PORT}, inclusive`))
    }
  }
  return problems
}

function validatePorts(service: Service): FieldProblem[] {
  const { spec } = service
  const ports = spec.ports ?? []
  const problems = ports.flatMap((port, index) =>
    validatePort(port, `spec.ports[${index}]`, ports.length > 1),
  )
  const names = ports.flatMap(port => (port.name === undefined ? [] : [port.name]))
  problems.push(...duplicateNames(names, index => `spec.ports[${index}].name`))
  const seen = new Set<string>()
  for (const [index, port] of ports.entries()) {
    const identity = `${port.protocol}/${port.port}`
    if (seen.has(identity)) problems.push(duplicate(`spec.ports[${index}]`, identity))
    seen.add(identity)
    if (!wantsNodePorts(service) && (port.nodePort ?? 0) !== 0 && spec.type !== 'LoadBalancer') {
      problems.push(
        invalid(`spec.ports[${index}].nodePort`, port.nodePort, "may not be used when `type` is 'ClusterIP'"),
      )
    }
  }
  return problems
}

function validate(service: Service): FieldProblem[] {
  const { spec } = service
  const problems = validatePorts(service)
  problems.push(...validateBalancing(service), ...validateFamilies(service))
  if (spec.selector !== undefined) problems.push(...validateLabels(spec.selector, 'spec.selector'))
  if (spec.type === 'ExternalName') {
    const problem = checkDnsSubdomain((spec.externalName ?? '').toLowerCase())
    if ((spec.externalName ?? '') === '') problems.push(required('spec.externalName'))
    else if (problem !== undefined) problems.push(invalid('spec.externalName', spec.externalName, problem))
    if (spec.clusterIP !== undefined && spec.clusterIP !== '') {
      problems.push(invalid('spec.clusterIPs[0]', spec.clusterIP, 'may not be set for ExternalName services'))
    }
  } else if (wantsClusterIp(service) && (spec.ports ?? []).length === 0) problems.push(required('spec.ports'))
  if (spec.clusterIP === 'None' && (spec.type === 'NodePort' || spec.type === 'LoadBalancer')) {
    problems.push(invalid('spec.clusterIPs[0]', 'None', `may not be set to 'None' for ${spec.type} services`))
  }
  if (spec.clusterIPs !== undefined && spec.clusterIPs[0] !== spec.clusterIP) {
    problems.push(invalid('spec.clusterIPs', spec.clusterIPs, 'first value must match `clusterIP`'))
  }
  return problems
}

/** Who leaves out what was allocated keeps it. */
function keepAllocated(service: Service, old: Frozen<Service>): void {
  const { spec } = service
  keepFamilies(service, old)
  if (wantsClusterIp(service) && wantsClusterIp(old) && (spec.clusterIP ?? '') === '') {
    if (old.spec.clusterIP !== undefined) spec.clusterIP = old.spec.clusterIP
    if (old.spec.clusterIPs !== undefined) spec.clusterIPs = [...old.spec.clusterIPs]
  }
  if (!wantsClusterIp(service) && spec.type === 'ExternalName' && spec.clusterIP === old.spec.clusterIP) {
    delete spec.clusterIP
    delete spec.clusterIPs
  }
  for (const port of spec.ports ?? []) {
    const before = old.spec.ports?.find(
      ({ port: number, protocol }) => number === port.port && protocol === port.protocol,
    )
    if (wantsNodePorts(service)) {
      if ((port.nodePort ?? 0) === 0 && before?.nodePort !== undefined) port.nodePort = before.nodePort
    } else if (port.nodePort !== undefined && port.nodePort === before?.nodePort) delete port.nodePort
  }
  const { healthCheckNodePort } = old.spec
  if (healthCheckNodePort === undefined) return
  if (wantsHealthCheckPort(service)) spec.healthCheckNodePort ||= healthCheckNodePort
  else if (spec.healthCheckNodePort === healthCheckNodePort) delete spec.healthCheckNodePort
}

/** What is about load balancers. */
function validateBalancing({ spec }: Service): FieldProblem[] {
  const { loadBalancerSourceRanges: ranges = [], healthCheckNodePort = 0, trafficDistribution } = spec
  const problems: FieldProblem[] = []
  if (ranges.length > 0 && spec.type !== 'LoadBalancer') {
    const why = "may only be used when `type` is 'LoadBalancer'"
    problems.push(forbiddenField('spec.loadBalancerSourceRanges', why))
  }
  for (const [index, range] of ranges.entries()) {
    if (isBlock(range)) continue
    const field = `spec.loadBalancerSourceRanges[${index}]`
    problems.push(invalid(field, range, 'must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)'))
  }
  if (healthCheckNodePort !== 0 && !wantsHealthCheckPort({ spec } as Service)) {
    const why = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"
    problems.push(invalid('spec.healthCheckNodePort', healthCheckNodePort, why))
  }
  if (trafficDistribution !== undefined && !DISTRIBUTIONS.includes(trafficDistribution))
    problems.push(notSupported('spec.trafficDistribution', trafficDistribution, DISTRIBUTIONS))
  return problems
}

/** Whether a text is a block of addresses of either family, as people write them. */
function isBlock(text: string): boolean {
  const [address = '', length = '', ...rest] = text.trim().split('/')
  const family = isIP(address)
  if (family === 0 || rest.length > 0 || !/^\d{1,3}$/.test(length)) return false
  return Number(length) <= (family === 4 ? 32 : 128)
}

function validateUpdate(service: Service, old: Frozen<Service>): FieldProblem[] {
  const { healthCheckNodePort: port } = old.spec
  if (port !== undefined && wantsHealthCheckPort(service) && wantsHealthCheckPort(old)) {
    if (service.spec.healthCheckNodePort !== port)
      return [
        invalid('spec.healthCheckNodePort', service.spec.healthCheckNodePort ?? 0, 'field is immutable'),
      ]
  }
  const before = old.spec.clusterIP ?? ''
  if (before === '' || service.spec.type === 'ExternalName' || service.spec.clusterIP === before) return []
  return [invalid('spec.clusterIPs[0]', service.spec.clusterIPs ?? [], 'may not change once set')]
}

export const serviceStrategy = defineStrategy<Service>({
  checkName: checkDns1035Label,
  printer: servicePrinter,
  selectable: selectableFields<Service>({
    'spec.clusterIP': service => service.spec.clusterIP,
    'spec.type': service => service.spec.type,
  }),
  prepareCreate(service) {
    service.status = { loadBalancer: {} }
  },
  prepareUpdate: keepAllocated,
  complete,
  validate,
  validateUpdate,
  reserve: (service, old, pools) => pools.serviceAddresses.reserve(service, old),
  release: (service, pools) => pools.serviceAddresses.release(service),
})
