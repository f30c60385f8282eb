/** Quotas, limits, disruption budgets, priorities. */

import type { LimitRange, PodDisruptionBudget, PriorityClass, ResourceQuota } from '../objects.ts'
import {
  disruptionBudgetPrinter,
  limitRangePrinter,
  priorityClassPrinter,
  quotaPrinter,
} from '../printing/index.ts'
import { type FieldProblem, forbiddenField, invalid } from '../problems.ts'
import { quantityValue } from '../schema/index.ts'
import { validateSelector } from './selectors.ts'
import { defineStrategy } from './strategy.ts'

export const quotaStrategy = defineStrategy<ResourceQuota>({
  printer: quotaPrinter,
  prepareCreate(quota) {
    quota.status = {}
  },
  validate: ({ spec }) =>
    Object.entries(spec.hard ?? {}).flatMap(([name, text]) =>
      (quantityValue(text) ?? 0) < 0
        ? [invalid(`spec.hard[${name}]`, text, 'must be greater than or equal to 0')]
        : [],
    ),
})

function exceeds(one: string | undefined, other: string | undefined): boolean {
  return one !== undefined && other !== undefined && (quantityValue(one) ?? 0) > (quantityValue(other) ?? 0)
}

export const limitRangeStrategy = defineStrategy<LimitRange>({
  printer: limitRangePrinter,
  complete({ spec }) {
    for (const limit of spec.limits ?? []) {
      if (limit.type !== 'Container') continue
      // A container that says nothing gets the most it may have, and asks for what it is given.
      if (limit.max !== undefined) limit.default = { ...limit.max, ...limit.default }
      const requests = { ...limit.min, ...limit.default, ...limit.defaultRequest }
      if (Object.keys(requests).length > 0) limit.defaultRequest = requests
    }
  },
  validate: ({ spec }) =>
    (spec.limits ?? []).flatMap((limit, index) => {
      const field = `spec.limits[${index}]`
      const names = new Set([limit.min, limit.max, limit.default].flatMap(part => Object.keys(part ?? {})))
      return [...names].flatMap(name => {
        const problems: FieldProblem[] = []
        const { min, max, default: standard, defaultRequest } = limit
        const compare = (
          part: string,
          value: string | undefined,
          limitName: string,
          limitValue: string | undefined,
        ) => {
          if (exceeds(value, limitValue)) {
            problems.push(
              invalid(
                `${field}.${part}[${name}]`,
                value,
                `${part} value ${value} is greater than ${limitName} value ${limitValue}`,
              ),
            )
          }
        }
        compare('min', min?.[name], 'max', max?.[name])
        compare('min', min?.[name], 'default', standard?.[name])
        compare('default', standard?.[name], 'max', max?.[name])
        compare('defaultRequest', defaultRequest?.[name], 'default', standard?.[name])
        return problems
      })
    }),
})

export const disruptionBudgetStrategy = defineStrategy<PodDisruptionBudget>({
  printer: disruptionBudgetPrinter,
  countsGenerations: true,
  prepareCreate(budget) {
    budget.status = { currentHealthy: 0, desiredHealthy: 0, disruptionsAllowed: 0, expectedPods: 0 }
  },
  validate({ spec }) {
    const problems = validateSelector(spec.selector ?? {}, 'spec.selector')
    if (spec.minAvailable !== undefined && spec.maxUnavailable !== undefined) {
      problems.push(invalid('spec', '', 'minAvailable and maxUnavailable cannot be both set'))
    }
    return problems
  },
})

const HIGHEST_USER_PRIORITY = 1_000_000_000
const SYSTEM_PREFIX = 'system-'

export const priorityClassStrategy = defineStrategy<PriorityClass>({
  printer: priorityClassPrinter,
  countsGenerations: true,
  validate({ metadata, value }) {
    if (metadata.name.startsWith(SYSTEM_PREFIX)) return []
    return value > HIGHEST_USER_PRIORITY
      ? [
          forbiddenField(
            'value',
            `maximum allowed value of a user defined priority is ${HIGHEST_USER_PRIORITY}`,
          ),
        ]
      : []
  },
  validateUpdate(next, old) {
    const problems: FieldProblem[] = []
    if (next.value !== old.value) problems.push(forbiddenField('value', 'may not be changed in an update.'))
    if (next.preemptionPolicy !== old.preemptionPolicy) {
      problems.push(invalid('preemptionPolicy', next.preemptionPolicy, 'field is immutable'))
    }
    return problems
  },
})
