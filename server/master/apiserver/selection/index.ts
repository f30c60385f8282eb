export { type LabelRequirement, type Labels, matchesLabels, parseLabelSelector } from './labels.ts'
export { isEmptySelector, selectorMatches, selectorText } from './object-selectors.ts'
export {
  type FieldReader,
  type ObjectReader,
  type SelectableFields,
  Selection,
  type SelectorTexts,
} from './selection.ts'
