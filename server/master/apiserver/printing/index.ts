export type { Column, Printer } from './column.ts'
export {
  configMapPrinter,
  eventPrinter,
  leasePrinter,
  namespacePrinter,
  nodePrinter,
  plainPrinter,
  secretPrinter,
  serviceAccountPrinter,
  servicePrinter,
} from './core.ts'
export { humanDuration, since } from './duration.ts'
export { endpointSlicePrinter } from './network.ts'
export { podPrinter } from './pods.ts'
export { type IncludeObject, partialObject, type TableMetadata, tableObject, tableRow } from './table.ts'
