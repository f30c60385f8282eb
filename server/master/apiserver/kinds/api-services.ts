/** APIServices: which part of the API is served here, and which by others (Kubernetes "Aggregation layer"). */
import { systemClock } from '../../../../kit/index.ts'
import { checkDns1035Label, checkDnsSubdomain } from '../names.ts'
import type { ApiService, Condition } from '../objects.ts'
import { columnsPrinter, textColumn } from '../printing/index.ts'
import { type FieldProblem, invalid, notSupported, required } from '../problems.ts'
import { formatTime } from '../schema/index.ts'
import { defineStrategy } from './strategy.ts'

const DEFAULT_PORT = 443
const HIGHEST_PORT = 65_535
const HIGHEST_GROUP = 20_000
const HIGHEST_VERSION = 1_000
const STATUSES = ['True', 'False', 'Unknown']
/** @param now milliseconds since 1970 */
export function localCondition(now: number): Condition {
  return {
    type: 'Available',
    status: 'True',
    lastTransitionTime: formatTime(now),
    reason: 'Local',
    message: 'Local APIServices are always available',
  }
}

function validateService({
  service,
  caBundle = '',
  insecureSkipTLSVerify,
}: ApiService['spec']): FieldProblem[] {
  const skips = insecureSkipTLSVerify === true
  if (service === undefined) {
    return [
      ...(caBundle === ''
        ? []
        : [
            invalid('spec.caBundle', `${caBundle.length} bytes`, 'local APIServices may not have a caBundle'),
          ]),
      ...(skips
        ? [
            invalid(
              'spec.insecureSkipTLSVerify',
              true,
              'local APIServices may not have insecureSkipTLSVerify',
            ),
          ]
        : []),
    ]
  }
  const { namespace = '', name = '', port = DEFAULT_PORT } = service
  return [
    ...(namespace === '' ? [required('spec.service.namespace')] : []),
    ...(name === '' ? [required('spec.service.name')] : []),
    ...(port >= 1 && port <= HIGHEST_PORT
      ? []
      : [
          invalid(
            'spec.service.port',
            port,
            `port is not valid: must be between 1 and ${HIGHEST_PORT}, inclusive`,
          ),
        ]),
    ...(skips && caBundle !== ''
      ? [invalid('spec.insecureSkipTLSVerify', true, 'may not be true if caBundle is present')]
      : []),
  ]
}

function validateApiService({ metadata, spec }: ApiService): FieldProblem[] {
  const { group = '', version, groupPriorityMinimum, versionPriority } = spec
  const problems: FieldProblem[] = []
  const name = `${version}.${group}`
  if (metadata.name !== name) {
    problems.push(
      invalid(
        'metadata.name',
        metadata.name,
        `must be \`spec.version+"."+spec.group\`: ${JSON.stringify(name)}`,
      ),
    )
  }
  if (group === '' && version !== 'v1')
    problems.push(required('spec.group', 'only v1 may have an empty group and it better be legacy kube'))
  const groupProblem = group === '' ? undefined : checkDnsSubdomain(group)
  if (groupProblem !== undefined) problems.push(invalid('spec.group', group, groupProblem))
  const versionProblem = checkDns1035Label(version)
  if (versionProblem !== undefined) problems.push(invalid('spec.version', version, versionProblem))
  if (!(groupPriorityMinimum > 0 && groupPriorityMinimum <= HIGHEST_GROUP)) {
    problems.push(
      invalid('spec.groupPriorityMinimum', groupPriorityMinimum, 'must be positive and less than 20000'),
    )
  }
  if (!(versionPriority > 0 && versionPriority <= HIGHEST_VERSION))
    problems.push(invalid('spec.versionPriority', versionPriority, 'must be positive and less than 1000'))
  return [...problems, ...validateService(spec)]
}

export const apiServiceStrategy = defineStrategy<ApiService>({
  printer: columnsPrinter([
    [
      textColumn('Service', 'Who serves it.'),
      object => {
        const { service } = (object as unknown as ApiService).spec
        return service === undefined ? 'Local' : `${service.namespace ?? ''}/${service.name ?? ''}`
      },
    ],
    [
      textColumn('Available', 'Whether it answers.'),
      object => {
        const available = (object as unknown as ApiService).status?.conditions?.find(
          ({ type }) => type === 'Available',
        )
        if (available === undefined) return 'Unknown'
        return available.status === 'True' ? 'True' : `${available.status} (${available.reason ?? ''})`
      },
    ],
  ]),
  // The names of others end with the group, those of the core group with a point.
  checkName: name =>
    /^[^/%]{1,253}$/.test(name) && name !== '.' && name !== '..' ? undefined : 'is no name',
  prepareCreate(service) {
    service.status =
      service.spec.service === undefined ? { conditions: [localCondition(systemClock.now())] } : {}
  },
  complete({ spec }) {
    if (spec.service !== undefined) spec.service.port ??= DEFAULT_PORT
  },
  validate: validateApiService,
  validateStatus: ({ status }) =>
    (status?.conditions ?? []).flatMap(({ status: value }, index) =>
      STATUSES.includes(value) ? [] : [notSupported(`status.conditions[${index}].status`, value, STATUSES)],
    ),
})
