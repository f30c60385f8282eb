/** Objects of one version of a custom kind: as clients send them, and as they are kept. */
import type { StoredObject } from '../../../store/index.ts'
import { type Frozen, isDeeperThan, isJsonObject, type JsonObject } from '../json.ts'
import { type Decoded, decodeObject, type ObjectSchema } from '../schema/index.ts'
import { badRequest } from '../status.ts'
import type { WebhookClientConfig } from '../webhook-client/index.ts'
import { fillDefaults } from './defaults.ts'
import { pruneWhole } from './prune.ts'
import type { SchemaNode } from './schema-node.ts'

/** Levels of an object. */
const DEEPEST = 128

/** What distinguishes a custom kind from those of the table. */
export interface CustomForm {
  /** Brings a client's object into form, in place: metadata read, unknown fields dropped. @throws `BadRequest` */
  decode(object: JsonObject, what: string): Decoded
  /** Whether a kept text is what clients of this version see. */
  isCurrent(stored: StoredObject): boolean
  /** Who converts objects between versions; undefined where versions differ by name only. */
  readonly conversion: Frozen<WebhookClientConfig> | undefined
  /** An object, converted where that takes more than the version's name, as clients of this version see it; changes it. */
  show(kept: JsonObject): JsonObject
}

export interface CustomFormOptions {
  readonly schema: SchemaNode
  readonly apiVersion: string
  /** What kept texts of this version start with. */
  readonly head: string
  /** A definition with metadata and nothing else. */
  readonly outline: ObjectSchema
  /** The revision from which on objects were written under this schema. */
  readonly since: number
  readonly conversion: Frozen<WebhookClientConfig> | undefined
}

export function customForm(options: CustomFormOptions): CustomForm {
  const { schema, apiVersion, head, outline, since, conversion } = options
  return {
    conversion,
    decode(object, what) {
      if (isDeeperThan(object, DEEPEST))
        throw badRequest(`${what}: it is nested more than ${DEEPEST} levels deep`)
      const whole = { metadata: object.metadata ?? {} }
      const { unknown, problems } = decodeObject(whole, outline, what)
      object.metadata = whole.metadata
      return { unknown: [...unknown, ...pruneWhole(object, schema)], problems }
    },
    isCurrent: ({ revision, json }) => revision >= since && json.startsWith(head),
    show(kept) {
      const shown: JsonObject = { ...kept, apiVersion }
      pruneWhole(shown, schema)
      fillDefaults(shown, schema)
      return isJsonObject(shown.metadata) ? shown : kept
    },
  }
}
