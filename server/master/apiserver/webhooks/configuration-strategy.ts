/** What is wrong with webhook configurations (`pkg/apis/admissionregistration/validation`). */
import { defineStrategy, validateSelector } from '../kinds/index.ts'
import { checkDnsSubdomain, checkQualifiedName } from '../names.ts'
import { columnsPrinter, numberColumn } from '../printing/index.ts'
import { duplicate, type FieldProblem, invalid, notSupported, required, tooMany } from '../problems.ts'
import { clientConfigProblems, reviewVersionProblems } from '../webhook-client/index.ts'
import type { MatchCondition, Webhook, WebhookConfiguration, WebhookRule } from './configuration.ts'
import { conditionProblem } from './match-conditions.ts'

const OPERATIONS = ['*', 'CONNECT', 'CREATE', 'DELETE', 'UPDATE']
const MOST_CONDITIONS = 64
/** Webhooks of one configuration: every write may have to look at all of them. */
const MOST_WEBHOOKS = 256

function ruleProblems(rule: WebhookRule, path: string): FieldProblem[] {
  const { operations = [], apiGroups = [], apiVersions = [], resources = [] } = rule
  const problems: FieldProblem[] = []
  for (const [field, list] of Object.entries({ apiGroups, apiVersions, resources, operations })) {
    if (list.length === 0) problems.push(required(`${path}.${field}`))
    else if (field !== 'resources' && list.length > 1 && list.includes('*'))
      problems.push(
        invalid(`${path}.${field}`, list, `if '*' is present, must not specify other ${wordOf(field)}`),
      )
  }
  for (const [index, operation] of operations.entries()) {
    if (!OPERATIONS.includes(operation))
      problems.push(notSupported(`${path}.operations[${index}]`, operation, OPERATIONS))
  }
  for (const [index, version] of apiVersions.entries()) {
    if (version === '') problems.push(required(`${path}.apiVersions[${index}]`))
  }
  for (const [index, resource] of resources.entries()) {
    if (resource === '') problems.push(required(`${path}.resources[${index}]`))
    if (resource.split('/').length > 2)
      problems.push(
        invalid(`${path}.resources[${index}]`, resource, 'must be a resource, or resource/subresource'),
      )
  }
  return problems
}

function wordOf(field: string): string {
  return field === 'apiGroups' ? 'API groups' : field === 'apiVersions' ? 'API versions' : field
}

function conditionProblems(conditions: readonly MatchCondition[], path: string): FieldProblem[] {
  if (conditions.length > MOST_CONDITIONS) return [tooMany(path, conditions.length, MOST_CONDITIONS)]
  const names = conditions.map(({ name }) => name)
  return conditions.flatMap(({ name, expression }, index) => {
    const place = `${path}[${index}]`
    const problems: FieldProblem[] = []
    if (name === '') problems.push(required(`${place}.name`))
    else {
      const wrong = checkQualifiedName(name)
      if (wrong !== undefined) problems.push(invalid(`${place}.name`, name, wrong))
      if (names.indexOf(name) < index) problems.push(duplicate(`${place}.name`, name))
    }
    if (expression.trim() === '') return [...problems, required(`${place}.expression`)]
    const problem = conditionProblem(expression)
    return problem === undefined
      ? problems
      : [...problems, invalid(`${place}.expression`, expression, problem)]
  })
}

function webhookProblems(webhook: Webhook, path: string): FieldProblem[] {
  const { name, sideEffects, timeoutSeconds = 10, namespaceSelector, objectSelector } = webhook
  const problems: FieldProblem[] = []
  const wrong = checkDnsSubdomain(name)
  if (name === '') problems.push(required(`${path}.name`))
  else if (wrong !== undefined) problems.push(invalid(`${path}.name`, name, wrong))
  else if (name.split('.').length < 3)
    problems.push(
      invalid(`${path}.name`, name, 'should be a domain with at least three segments separated by dots'),
    )
  if (sideEffects === undefined)
    problems.push(required(`${path}.sideEffects`, 'must specify one of None, NoneOnDryRun'))
  else if (sideEffects !== 'None' && sideEffects !== 'NoneOnDryRun')
    problems.push(notSupported(`${path}.sideEffects`, sideEffects, ['None', 'NoneOnDryRun']))
  if (timeoutSeconds < 1 || timeoutSeconds > 30)
    problems.push(
      invalid(`${path}.timeoutSeconds`, timeoutSeconds, 'the timeout value must be between 1 and 30 seconds'),
    )
  return [
    ...problems,
    ...(webhook.rules ?? []).flatMap((rule, index) => ruleProblems(rule, `${path}.rules[${index}]`)),
    ...(namespaceSelector === undefined
      ? []
      : validateSelector(namespaceSelector, `${path}.namespaceSelector`)),
    ...(objectSelector === undefined ? [] : validateSelector(objectSelector, `${path}.objectSelector`)),
    ...clientConfigProblems(webhook.clientConfig, `${path}.clientConfig`),
    ...reviewVersionProblems(webhook.admissionReviewVersions, `${path}.admissionReviewVersions`),
    ...conditionProblems(webhook.matchConditions ?? [], `${path}.matchConditions`),
  ]
}

/** What is wrong with a configuration. */
export function configurationProblems({ webhooks = [] }: WebhookConfiguration): FieldProblem[] {
  if (webhooks.length > MOST_WEBHOOKS) return [tooMany('webhooks', webhooks.length, MOST_WEBHOOKS)]
  const names = webhooks.map(({ name }) => name)
  return webhooks.flatMap((webhook, index) => [
    ...(names.indexOf(webhook.name) < index ? [duplicate(`webhooks[${index}].name`, webhook.name)] : []),
    ...webhookProblems(webhook, `webhooks[${index}]`),
  ])
}

export const webhookConfigurationStrategy = defineStrategy<WebhookConfiguration>({
  countsGenerations: true,
  printer: columnsPrinter<WebhookConfiguration>([
    [numberColumn('Webhooks', 'How many webhooks it has.'), ({ webhooks }) => webhooks?.length ?? 0],
  ]),
  validate: configurationProblems,
  changesWish: (next, old) => JSON.stringify(next.webhooks ?? []) !== JSON.stringify(old.webhooks ?? []),
})
