/** Endpoint slices: where the pods behind services can be reached. */
import { isIPv4, isIPv6 } from 'node:net'
import { checkDnsLabel, checkDnsSubdomain } from '../names.ts'
import type { EndpointSlice, SliceEndpoint, SlicePort } from '../objects.ts'
import { endpointSlicePrinter } from '../printing/index.ts'
import { duplicate, type FieldProblem, invalid, notSupported, required, tooLong } from '../problems.ts'
import { defineStrategy } from './strategy.ts'

const ADDRESS_TYPES = ['FQDN', 'IPv4', 'IPv6']
const PROTOCOLS = ['SCTP', 'TCP', 'UDP']
const MOST_ENDPOINTS = 1000
const MOST_ADDRESSES = 100
const MOST_PORTS = 20_000
const HIGHEST_PORT = 65_535

function addressProblem(type: string, address: string): string | undefined {
  if (type === 'FQDN') return checkDnsSubdomain(address)
  if (type === 'IPv4') return isIPv4(address) ? undefined : 'must be a valid IPv4 address'
  return isIPv6(address) ? undefined : 'must be a valid IPv6 address'
}

function validateEndpoint(
  { addresses, hostname }: SliceEndpoint,
  type: string,
  field: string,
): FieldProblem[] {
  const problems: FieldProblem[] = []
  if (addresses.length === 0) problems.push(required(`${field}.addresses`, 'must contain at least 1 address'))
  if (addresses.length > MOST_ADDRESSES) {
    problems.push(tooLong(`${field}.addresses`, `must have at most ${MOST_ADDRESSES} items`))
  }
  for (const [index, address] of addresses.slice(0, MOST_ADDRESSES).entries()) {
    const problem = addressProblem(type, address)
    if (problem !== undefined) problems.push(invalid(`${field}.addresses[${index}]`, address, problem))
  }
  const problem = hostname === undefined ? undefined : checkDnsLabel(hostname)
  if (problem !== undefined) problems.push(invalid(`${field}.hostname`, hostname, problem))
  return problems
}

function validatePorts(ports: readonly SlicePort[]): FieldProblem[] {
  const names = new Set<string>()
  return ports.flatMap(({ name = '', protocol = '', port }, index) => {
    const field = `ports[${index}]`
    const problems: FieldProblem[] = []
    const problem = name === '' ? undefined : checkDnsLabel(name)
    if (problem !== undefined) problems.push(invalid(`${field}.name`, name, problem))
    if (names.has(name)) problems.push(duplicate(`${field}.name`, name))
    names.add(name)
    if (!PROTOCOLS.includes(protocol)) problems.push(notSupported(`${field}.protocol`, protocol, PROTOCOLS))
    if (port !== undefined && (port < 1 || port > HIGHEST_PORT)) {
      problems.push(invalid(`${field}.port`, port, `must be between 1 and ${HIGHEST_PORT}, inclusive`))
    }
    return problems
  })
}

function validate({ addressType, endpoints = [], ports = [] }: EndpointSlice): FieldProblem[] {
  if (addressType === '') return [required('addressType')]
  if (!ADDRESS_TYPES.includes(addressType)) return [notSupported('addressType', addressType, ADDRESS_TYPES)]
  if (endpoints.length > MOST_ENDPOINTS) {
    return [tooLong('endpoints', `must have at most ${MOST_ENDPOINTS} items`)]
  }
  if (ports.length > MOST_PORTS) return [tooLong('ports', `must have at most ${MOST_PORTS} items`)]
  return [
    ...endpoints.flatMap((endpoint, index) => validateEndpoint(endpoint, addressType, `endpoints[${index}]`)),
    ...validatePorts(ports),
  ]
}

export const endpointSliceStrategy = defineStrategy<EndpointSlice>({
  printer: endpointSlicePrinter,
  countsGenerations: true,
  complete(slice) {
    for (const port of slice.ports ?? []) {
      port.name ??= ''
      port.protocol ??= 'TCP'
    }
  },
  validate,
  validateUpdate: ({ addressType }, old) =>
    addressType === old.addressType ? [] : [invalid('addressType', addressType, 'field is immutable')],
})
