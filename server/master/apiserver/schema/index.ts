export { type Decoded, decodeObject } from './decode.ts'
export { type FieldSchema, fieldOf, type ObjectSchema, Schemas, type SchemaType } from './definitions.ts'
export { parseProtobuf } from './protobuf.ts'
export { canonicalQuantity, quantityValue } from './quantity.ts'
export {
  DEFINITION_PREFIX,
  type KindTable,
  loadTable,
  parseTable,
  type TableDefinition,
  type TableField,
  type TableGroupVersion,
  type TableResource,
  type TableSubresource,
  type TableWire,
  tableChecksum,
} from './table.ts'
export { canonicalMicroTime, canonicalTime, formatTime } from './time.ts'
