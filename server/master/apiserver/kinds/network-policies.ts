/** Network policies: who may talk to chosen pods, and whom they may talk to. */
import type { NetworkPolicy, NetworkPolicyPort } from '../objects.ts'
import { networkPolicyPrinter } from '../printing/index.ts'
import { type FieldProblem, invalid, notSupported, required } from '../problems.ts'
import { defineStrategy } from './strategy.ts'

const POLICY_TYPES = ['Egress', 'Ingress']
const PROTOCOLS = ['SCTP', 'TCP', 'UDP']
const HIGHEST_PORT = 65_535

/** The rules of both directions, with where they stand. */
function rulesOf({ spec }: NetworkPolicy) {
  return [
    ...(spec.ingress ?? []).map((rule, index) => ({ rule, field: `spec.ingress[${index}]` })),
    ...(spec.egress ?? []).map((rule, index) => ({ rule, field: `spec.egress[${index}]` })),
  ]
}

function complete(policy: NetworkPolicy): void {
  const { spec } = policy
  if (spec === undefined) return
  for (const { rule } of rulesOf(policy)) {
    for (const port of rule.ports ?? []) port.protocol ??= 'TCP'
  }
  if ((spec.policyTypes ?? []).length > 0) return
  spec.policyTypes = (spec.egress ?? []).length > 0 ? ['Ingress', 'Egress'] : ['Ingress']
}

function validatePort({ protocol = '', port, endPort }: NetworkPolicyPort, field: string): FieldProblem[] {
  const problems: FieldProblem[] = []
  if (!PROTOCOLS.includes(protocol)) problems.push(notSupported(`${field}.protocol`, protocol, PROTOCOLS))
  const range = `must be between 1 and ${HIGHEST_PORT}, inclusive`
  if (typeof port === 'number' && (port < 1 || port > HIGHEST_PORT)) {
    problems.push(invalid(`${field}.port`, port, range))
  }
  if (endPort === undefined) return problems
  if (port === undefined) problems.push(required(`${field}.port`, 'must be specified when `endPort` is set'))
  else if (typeof port === 'string') {
    problems.push(invalid(`${field}.endPort`, endPort, 'may not be specified when `port` is non-numeric'))
  } else if (endPort < port) {
    problems.push(invalid(`${field}.endPort`, endPort, 'must be greater than or equal to `port`'))
  } else if (endPort > HIGHEST_PORT) problems.push(invalid(`${field}.endPort`, endPort, range))
  return problems
}

function validate(policy: NetworkPolicy): FieldProblem[] {
  const { spec } = policy
  if (spec === undefined) return [required('spec')]
  return [
    ...(spec.policyTypes ?? []).flatMap((type, index) =>
      POLICY_TYPES.includes(type) ? [] : [notSupported(`spec.policyTypes[${index}]`, type, POLICY_TYPES)],
    ),
    ...rulesOf(policy).flatMap(({ rule, field }) =>
      (rule.ports ?? []).flatMap((port, index) => validatePort(port, `${field}.ports[${index}]`)),
    ),
  ]
}

export const networkPolicyStrategy = defineStrategy<NetworkPolicy>({
  printer: networkPolicyPrinter,
  countsGenerations: true,
  showsDeleted: true,
  complete,
  validate,
})
