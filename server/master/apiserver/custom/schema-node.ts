/**
 * The schemas of custom resources, as linked nodes that pruning, defaulting, validating and applying walk along.
 *
 * A schema comes as `JSONSchemaProps` (apiextensions.k8s.io/v1), which is checked before it is kept; what comes here is
 * read without complaint, and what it does not understand is left out.
 */
import { isJsonObject, type JsonObject, type JsonValue } from '../json.ts'

export interface ValidationRule {
  readonly rule: string
  readonly message: string
  readonly messageExpression: string
  readonly reason: string
  readonly fieldPath: string
  readonly optionalOldSelf: boolean
}

export interface SchemaNode {
  /** Empty where any type may be. */
  readonly type: string
  readonly format: string
  readonly nullable: boolean
  /** `x-kubernetes-int-or-string` */
  readonly intOrString: boolean
  /** `x-kubernetes-preserve-unknown-fields` */
  readonly preservesUnknown: boolean
  /** `x-kubernetes-embedded-resource` */
  readonly embedded: boolean
  readonly default: JsonValue | undefined
  readonly properties: ReadonlyMap<string, SchemaNode>
  /** Schema of members that `properties` does not name; `any` where they are free. */
  readonly additional: SchemaNode | 'any' | undefined
  readonly items: SchemaNode | undefined
  /** `x-kubernetes-list-type` */
  readonly listType: string
  readonly listKeys: readonly string[]
  /** `x-kubernetes-map-type` */
  readonly mapType: string
  readonly required: readonly string[]
  readonly enum: readonly JsonValue[] | undefined
  readonly pattern: string | undefined
  readonly minimum: number | undefined
  readonly maximum: number | undefined
  readonly exclusiveMinimum: boolean
  readonly exclusiveMaximum: boolean
  readonly multipleOf: number | undefined
  readonly minLength: number | undefined
  readonly maxLength: number | undefined
  readonly minItems: number | undefined
  readonly maxItems: number | undefined
  readonly minProperties: number | undefined
  readonly maxProperties: number | undefined
  readonly allOf: readonly SchemaNode[]
  readonly anyOf: readonly SchemaNode[]
  readonly oneOf: readonly SchemaNode[]
  readonly not: SchemaNode | undefined
  /** `x-kubernetes-validations` */
  readonly rules: readonly ValidationRule[]
}

function text(value: JsonValue | undefined): string {
  return typeof value === 'string' ? value : ''
}

function number(value: JsonValue | undefined): number | undefined {
  return typeof value === 'number' ? value : undefined
}

/** Shared by all nodes without members: kinds have thousands of those. */
const NONE: readonly never[] = []
const NO_PROPERTIES: ReadonlyMap<string, SchemaNode> = new Map()

function texts(value: JsonValue | undefined): readonly string[] {
  return Array.isArray(value) ? value.filter(item => typeof item === 'string') : NONE
}

function nodes(value: JsonValue | undefined): readonly SchemaNode[] {
  return Array.isArray(value) ? value.filter(isJsonObject).map(readSchema) : NONE
}

function propertiesOf(value: JsonValue | undefined): ReadonlyMap<string, SchemaNode> {
  if (!isJsonObject(value)) return NO_PROPERTIES
  return new Map(
    Object.entries(value).flatMap(([name, property]) =>
      isJsonObject(property) ? [[name, readSchema(property)] as const] : [],
    ),
  )
}

function rulesOf(value: JsonValue | undefined): readonly ValidationRule[] {
  if (!Array.isArray(value)) return NONE
  return value.filter(isJsonObject).map(rule => ({
    rule: text(rule.rule),
    message: text(rule.message),
    messageExpression: text(rule.messageExpression),
    reason: text(rule.reason),
    fieldPath: text(rule.fieldPath),
    optionalOldSelf: rule.optionalOldSelf === true,
  }))
}

function additionalOf(value: JsonValue | undefined): SchemaNode['additional'] {
  if (value === true) return 'any'
  return isJsonObject(value) ? readSchema(value) : undefined
}

/** The same for schemas without any special member, which most are: limits of values. */
function limitsOf(schema: JsonObject) {
  return {
    pattern: typeof schema.pattern === 'string' ? schema.pattern : undefined,
    minimum: number(schema.minimum),
    maximum: number(schema.maximum),
    exclusiveMinimum: schema.exclusiveMinimum === true,
    exclusiveMaximum: schema.exclusiveMaximum === true,
    multipleOf: number(schema.multipleOf),
    minLength: number(schema.minLength),
    maxLength: number(schema.maxLength),
    minItems: number(schema.minItems),
    maxItems: number(schema.maxItems),
    minProperties: number(schema.minProperties),
    maxProperties: number(schema.maxProperties),
  }
}

/** Reads a schema whose size and depth have been checked. */
export function readSchema(schema: JsonObject): SchemaNode {
  return {
    type: text(schema.type),
    format: text(schema.format),
    nullable: schema.nullable === true,
    intOrString: schema['x-kubernetes-int-or-string'] === true,
    preservesUnknown: schema['x-kubernetes-preserve-unknown-fields'] === true,
    embedded: schema['x-kubernetes-embedded-resource'] === true,
    default: schema.default,
    properties: propertiesOf(schema.properties),
    additional: additionalOf(schema.additionalProperties),
    items: isJsonObject(schema.items) ? readSchema(schema.items) : undefined,
    listType: text(schema['x-kubernetes-list-type']),
    listKeys: texts(schema['x-kubernetes-list-map-keys']),
    mapType: text(schema['x-kubernetes-map-type']),
    required: texts(schema.required),
    enum: Array.isArray(schema.enum) ? schema.enum : undefined,
    ...limitsOf(schema),
    allOf: nodes(schema.allOf),
    anyOf: nodes(schema.anyOf),
    oneOf: nodes(schema.oneOf),
    not: isJsonObject(schema.not) ? readSchema(schema.not) : undefined,
    rules: rulesOf(schema['x-kubernetes-validations']),
  }
}
