export { difference, type FieldSet, union } from './field-set.ts'
export {
  afterApply,
  afterUpdate,
  fieldsOfManager,
  fieldsOfOthers,
  type Manager,
  readManagers,
  writeManagers,
} from './managers.ts'
export { mergeApplied, prune } from './merge.ts'
export { compareObjects, fieldsOf, withoutSystemFields } from './typed.ts'
