/** The Pod Security Standards, as labels of a namespace choose them (Kubernetes' PodSecurity). */
import type { Frozen } from '../../json.ts'
import type { KubernetesObject, Pod } from '../../objects.ts'
import { type FieldProblem, invalid } from '../../problems.ts'
import { forbidden } from '../../status.ts'
import type { AdmissionRequest } from '../request.ts'
import { BASELINE, type Check, RESTRICTED } from './checks.ts'
import type { SecuredPod, SecuredPodSpec } from './secured-pod.ts'

const PREFIX = 'pod-security.kubernetes.io/'
const LEVELS = ['privileged', 'baseline', 'restricted'] as const
const MODES = ['enforce', 'audit', 'warn'] as const
const VERSION = /^(latest|v1\.\d{1,3})$/

type Level = (typeof LEVELS)[number]
type Mode = (typeof MODES)[number]

const CHECKS: Readonly<Record<Level, readonly Check[]>> = {
  privileged: [],
  baseline: BASELINE,
  restricted: RESTRICTED,
}

function isLevel(text: string | undefined): text is Level {
  return (LEVELS as readonly (string | undefined)[]).includes(text)
}

/** What the labels of a namespace have that means nothing. */
export function podSecurityLabelProblems({ metadata }: Frozen<KubernetesObject>): FieldProblem[] {
  const labels = metadata.labels ?? {}
  return MODES.flatMap(mode => {
    const [level, version] = [labels[`${PREFIX}${mode}`], labels[`${PREFIX}${mode}-version`]]
    const field = (name: string) => `metadata.labels[${PREFIX}${name}]`
    const problems: FieldProblem[] = []
    if (level !== undefined && !isLevel(level)) {
      problems.push(invalid(field(mode), level, 'must be one of privileged, baseline, restricted'))
    }
    if (version !== undefined && !VERSION.test(version)) {
      problems.push(invalid(field(`${mode}-version`), version, 'must be "latest" or "v1.x"'))
    }
    return problems
  })
}

/** What a pod does against the level that a mode of its namespace asks for. */
function violation(labels: Frozen<Record<string, string>>, mode: Mode, pod: SecuredPod): string | undefined {
  const asked = labels[`${PREFIX}${mode}`]
  if (asked === undefined) return undefined
  // A word that nobody knows asks for the most.
  const level = isLevel(asked) ? asked : 'restricted'
  const wrong = CHECKS[level].flatMap(check => check(pod) ?? [])
  const version = labels[`${PREFIX}${mode}-version`] ?? 'latest'
  return wrong.length === 0 ? undefined : `violate PodSecurity "${level}:${version}": ${wrong.join(', ')}`
}

function labelsOf({ cluster, namespace }: AdmissionRequest): Frozen<Record<string, string>> | undefined {
  const stored = cluster.find('namespaces', '', namespace)
  // Almost no namespace has one, and a look at the text is much cheaper than all checks.
  if (stored === undefined || !stored.json.includes(PREFIX)) return undefined
  return cluster.read(stored).metadata.labels
}

function secured(metadata: Frozen<KubernetesObject['metadata']> | undefined, spec: unknown): SecuredPod {
  return { annotations: metadata?.annotations ?? {}, spec: (spec ?? {}) as SecuredPodSpec }
}

/** Looks at a pod that is about to be written. @throws `Forbidden` where the namespace enforces a level */
export function requirePodSecurity(request: AdmissionRequest, pod: Frozen<Pod>): void {
  const labels = labelsOf(request)
  if (labels === undefined) return
  const looked = secured(pod.metadata, pod.spec)
  const refused = violation(labels, 'enforce', looked)
  if (refused !== undefined) {
    throw forbidden(request.resource, pod.metadata.name ?? '', refused.replace(/^violate/, 'violates'))
  }
  const warned = violation(labels, 'warn', looked)
  if (warned !== undefined) request.warn(`would ${warned}`)
}

/** Kinds whose pods are made from a template, and where it is. */
const TEMPLATES = new Map<string, (object: Frozen<KubernetesObject>) => unknown>([
  ...['deployments', 'replicasets', 'statefulsets', 'daemonsets', 'replicationcontrollers', 'jobs'].map(
    name =>
      [
        name,
        (object: Frozen<KubernetesObject>) => (object.spec as { template?: unknown } | undefined)?.template,
      ] as const,
  ),
  ['podtemplates', object => object.template],
  [
    'cronjobs',
    object =>
      (object.spec as { jobTemplate?: { spec?: { template?: unknown } } } | undefined)?.jobTemplate?.spec
        ?.template,
  ],
])

/** Tells of a template whose pods would be refused, or warned of: they come later, from somebody else. */
export function warnOfTemplate(request: AdmissionRequest, object: Frozen<KubernetesObject>): void {
  const template = TEMPLATES.get(request.resource.resource)?.(object) as
    | { readonly metadata?: KubernetesObject['metadata']; readonly spec?: unknown }
    | undefined
  const labels = template === undefined ? undefined : labelsOf(request)
  if (labels === undefined) return
  const warned = violation(labels, 'warn', secured(template?.metadata, template?.spec))
  if (warned !== undefined) request.warn(`would ${warned}`)
}
