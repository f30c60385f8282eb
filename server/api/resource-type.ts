/** What one type of the `/v3` API is: a table of these is the whole API. */
import type { ModelKind, ObjectOfKind } from '../model/index.ts'
import type { Fields } from './fields.ts'

/** Builds URLs as the client sees the server. */
export interface LinkBuilder {
  /** URL of a resource, with `suffix` after its id. */
  resource(plural: string, id: string, suffix?: string): string
  collection(plural: string): string
}

/** An action: `POST <resource>?action=<name>`. */
export interface ResourceAction<T> {
  /** Schema names of its input and output. */
  readonly input?: string
  readonly output: string
  /** Whether the resource's `actions` show it now. */
  readonly available: (object: T) => boolean
  /** Returns what is answered. @param keyId the API key of who asks */
  readonly run: (object: T, input: unknown, keyId: string) => Promise<unknown>
}

export interface ResourceType<Kind extends ModelKind = ModelKind, T = ObjectOfKind[Kind]> {
  /** Name of the type, and of its schema. */
  readonly type: string
  readonly kind: Kind
  readonly plural: string
  readonly fields: Fields
  /** The fields as shown; `id`, `type`, links and actions are added. */
  readonly show: (object: T) => Readonly<Record<string, unknown>>
  /** The environment it belongs to, for `/v3/projects/<id>/…`. */
  readonly projectOf?: (object: T) => string
  readonly create?: (input: Record<string, unknown>) => Promise<T>
  readonly update?: (object: T, input: Record<string, unknown>) => Promise<T>
  /** Begins the removal; the resource may live on in state `removing` for a while. */
  readonly remove?: (object: T) => Promise<T>
  readonly actions?: Readonly<Record<string, ResourceAction<T>>>
  /** Names of links to collections or resources that belong to it. */
  readonly links?: (object: T, urls: LinkBuilder) => Readonly<Record<string, string>>
  /** Only in the answer to its creation: a secret that is not stored. */
  readonly showOnce?: (object: T) => Readonly<Record<string, unknown>>
}

/** Fields that every resource shows. */
export const commonFields: Fields = {
  id: { type: 'string' },
  type: { type: 'string' },
  baseType: { type: 'string' },
  kind: { type: 'string' },
  name: { type: 'string' },
  description: { type: 'string', create: true, update: true, nullable: true, maxLength: 1024 },
  uuid: { type: 'string' },
  state: { type: 'string' },
  created: { type: 'date' },
  transitioning: { type: 'enum', options: ['yes', 'no', 'error'] },
  transitioningMessage: { type: 'string', nullable: true },
}
