export type { CustomForm } from './custom-form.ts'
export { CustomKinds } from './custom-kinds.ts'
export {
  CLEANUP_FINALIZER,
  type CustomResourceDefinition,
  compareVersions,
  conditionOf,
  DEFINITIONS_KIND,
  type DefinitionCondition,
  type DefinitionNames,
  isEstablished,
} from './definition.ts'
export { definitionStrategy, withCondition } from './definition-strategy.ts'
export { CostEstimate, type Measure, measureOf } from './rule-cost.ts'
export { plainEnvironment, withKubernetesFunctions } from './rule-functions.ts'
export { type ParsedRule, RuleLanguage } from './rule-language.ts'
export { toSecondVersion } from './second-version.ts'
