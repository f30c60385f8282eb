export { type LabelRequirement, type Labels, matchesLabels, parseLabelSelector } from './labels.ts'
export {
  type FieldReader,
  type ObjectReader,
  type SelectableFields,
  Selection,
  type SelectorTexts,
} from './selection.ts'
