/** Namespaces, nodes, service accounts and leases. */
import { checkDnsLabel, checkQualifiedName } from '../names.ts'
import type { Lease, Namespace, Node, ServiceAccount } from '../objects.ts'
import { leasePrinter, namespacePrinter, nodePrinter, serviceAccountPrinter } from '../printing/index.ts'
import { duplicate, type FieldProblem, forbiddenField, invalid } from '../problems.ts'
import { defineStrategy, selectableFields } from './strategy.ts'

/** The finalizer that the namespace controller removes when a namespace is empty. */
export const NAMESPACE_FINALIZER = 'kubernetes'
/** Lets selectors choose namespaces by name. */
const NAMESPACE_NAME_LABEL = 'kubernetes.io/metadata.name'

export const namespaceStrategy = defineStrategy<Namespace>({
  checkName: checkDnsLabel,
  printer: namespacePrinter,
  selectable: selectableFields<Namespace>({ 'status.phase': namespace => namespace.status.phase }),
  prepareCreate(namespace) {
    namespace.spec = { finalizers: [NAMESPACE_FINALIZER] }
    namespace.status = { phase: 'Active' }
  },
  prepareUpdate(namespace, old) {
    // Only the finalize subresource changes these.
    namespace.spec = {
      ...(old.spec.finalizers === undefined ? {} : { finalizers: [...old.spec.finalizers] }),
    }
  },
  complete(namespace) {
    namespace.metadata.labels = {
      ...namespace.metadata.labels,
      [NAMESPACE_NAME_LABEL]: namespace.metadata.name,
    }
  },
  holdsDeletion: namespace => (namespace.spec.finalizers ?? []).length > 0,
  markDeleted(namespace) {
    namespace.status.phase = 'Terminating'
  },
})

function validateTaints(node: Node): FieldProblem[] {
  const seen = new Set<string>()
  return (node.spec.taints ?? []).flatMap((taint, index) => {
    const field = `spec.taints[${index}]`
    const problem = checkQualifiedName(taint.key)
    const identity = `${taint.key}:${taint.effect}`
    const problems = problem === undefined ? [] : [invalid(`${field}.key`, taint.key, problem)]
    if (seen.has(identity)) problems.push(duplicate(field, identity))
    seen.add(identity)
    return problems
  })
}

export const nodeStrategy = defineStrategy<Node>({
  printer: nodePrinter,
  selectable: selectableFields<Node>({
    'spec.unschedulable': node => String(node.spec.unschedulable === true),
  }),
  validate: validateTaints,
  validateUpdate(node, old) {
    const problems: FieldProblem[] = []
    if (old.spec.podCIDR !== undefined && node.spec.podCIDR !== old.spec.podCIDR) {
      problems.push(
        forbiddenField('spec.podCIDR', 'node updates may not change podCIDR except from "" to valid'),
      )
    }
    if (old.spec.providerID !== undefined && node.spec.providerID !== old.spec.providerID) {
      problems.push(
        forbiddenField('spec.providerID', 'node updates may not change providerID except from "" to valid'),
      )
    }
    return problems
  },
})

export const serviceAccountStrategy = defineStrategy<ServiceAccount>({
  printer: serviceAccountPrinter,
})

export const leaseStrategy = defineStrategy<Lease>({
  printer: leasePrinter,
  unconditionalUpdate: false,
  createOnUpdate: true,
  validate({ spec }) {
    const problems: FieldProblem[] = []
    if (spec?.leaseDurationSeconds !== undefined && spec.leaseDurationSeconds <= 0) {
      problems.push(invalid('spec.leaseDurationSeconds', spec.leaseDurationSeconds, 'must be greater than 0'))
    }
    if (spec?.leaseTransitions !== undefined && spec.leaseTransitions < 0) {
      problems.push(
        invalid('spec.leaseTransitions', spec.leaseTransitions, 'must be greater than or equal to 0'),
      )
    }
    return problems
  },
})
