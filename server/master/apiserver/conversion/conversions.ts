/**
 * Objects of custom kinds in other versions than they are kept in, where a webhook has to say how they look. What was
 * converted is remembered as long as the kept object and the definition are the same.
 */
import { randomUUID } from 'node:crypto'
import type { StoredObject } from '../../../store/index.ts'
import type { BackendClient, ClusterView } from '../backends/index.ts'
import { apiVersionOf, type Resource } from '../catalog/index.ts'
import { cloneJson, type Frozen, type JsonObject, type JsonValue } from '../json.ts'
import type { KubernetesObject } from '../objects.ts'
import { StatusError } from '../status.ts'
import { parseStored } from '../storage/index.ts'
import { postReview } from '../webhook-client/index.ts'
import { conversionReview, readConverted } from './conversion-review.ts'

const TIMEOUT_SECONDS = 30
/** Objects of one review, and characters of them all. */
const MOST_TOGETHER = 500
const LONGEST_TOGETHER = 2 * 1024 * 1024
/** Characters of kept objects of one version whose converted forms are remembered. */
const REMEMBERED_LENGTH = 4 * 1024 * 1024

type Converted = Frozen<KubernetesObject>

/** Of one version of one kind, in order of use. */
class Remembered {
  readonly #objects = new Map<StoredObject, Converted>()
  #length = 0

  get(stored: StoredObject): Converted | undefined {
    const object = this.#objects.get(stored)
    if (object === undefined) return undefined
    this.#objects.delete(stored)
    this.#objects.set(stored, object)
    return object
  }

  set(stored: StoredObject, object: Converted): void {
    if (!this.#objects.has(stored)) this.#length += stored.json.length
    this.#objects.set(stored, object)
    for (const oldest of this.#objects.keys()) {
      if (this.#length <= REMEMBERED_LENGTH) return
      this.#objects.delete(oldest)
      this.#length -= oldest.json.length
    }
  }
}

export interface ConversionsOptions {
  readonly cluster: ClusterView
  readonly client: BackendClient
}

export class Conversions {
  readonly #options: ConversionsOptions
  /** Resources are others when their definition is. */
  readonly #remembered = new WeakMap<Resource, Remembered>()

  constructor(options: ConversionsOptions) {
    this.#options = options
  }

  /**
   * Objects in the version of `resource`, which they may be in already.
   *
   * @throws `StatusError` with code 500 saying why the webhook did not convert them
   */
  async convert(resource: Resource, objects: readonly JsonObject[]): Promise<JsonObject[]> {
    const version = apiVersionOf(resource)
    const different = objects.filter(({ apiVersion }) => apiVersion !== version)
    if (different.length === 0) return [...objects]
    const converted = new Map<JsonObject, JsonObject>()
    for (const together of portions(different)) {
      const results = await this.#ask(resource, together)
      for (const [index, object] of together.entries()) converted.set(object, results[index] as JsonObject)
    }
    return objects.map(object => converted.get(object) ?? object)
  }

  /** A version of an object that is about to be written, as it is kept. Its own parts may be in the result. */
  async toKept(resource: Resource, object: KubernetesObject): Promise<KubernetesObject> {
    if (resource.custom?.conversion === undefined) return object
    const kept = { ...resource, version: resource.kept.apiVersion.slice(resource.group.length + 1) }
    const [result] = await this.convert(kept, [object as unknown as JsonObject])
    return result as unknown as KubernetesObject
  }

  /** A kept object as clients of `resource` see it; shared, not to be changed. @throws as `convert` */
  async read(resource: Resource, stored: StoredObject): Promise<Converted> {
    const [object] = await this.readAll(resource, [stored])
    return object as Converted
  }

  /** @throws as `convert` */
  async readAll(resource: Resource, storeds: readonly StoredObject[]): Promise<readonly Converted[]> {
    const { custom } = resource
    const { cluster } = this.#options
    if (custom?.conversion === undefined) return storeds.map(stored => cluster.read(stored))
    const remembered = this.#rememberedOf(resource)
    const known = storeds.map(stored =>
      custom.isCurrent(stored) ? cluster.read(stored) : remembered.get(stored),
    )
    const missing = storeds.filter((_, index) => known[index] === undefined)
    const made = await this.convert(
      resource,
      missing.map(stored => parseStored(stored) as unknown as JsonObject),
    )
    const shown = made.map(object => custom.show(object) as unknown as Converted)
    for (const [index, stored] of missing.entries()) remembered.set(stored, shown[index] as Converted)
    let next = 0
    return known.map(object => object ?? (shown[next++] as Converted))
  }

  #rememberedOf(resource: Resource): Remembered {
    const present = this.#remembered.get(resource)
    if (present !== undefined) return present
    const made = new Remembered()
    this.#remembered.set(resource, made)
    return made
  }

  async #ask(resource: Resource, objects: readonly JsonObject[]): Promise<JsonObject[]> {
    const { cluster, client } = this.#options
    const { kind, custom } = resource
    const version = apiVersionOf(resource)
    const uid = randomUUID()
    try {
      if (custom?.conversion === undefined) throw new Error('there is no webhook')
      const answer = await postReview(client, {
        cluster,
        clientConfig: custom.conversion,
        review: conversionReview(uid, version, objects),
        timeoutSeconds: TIMEOUT_SECONDS,
        deadline: TIMEOUT_SECONDS * 1000,
      })
      return readConverted(answer, { uid, version, kind, objects })
    } catch (error) {
      const what = `${String(objects[0]?.apiVersion)}, Kind=${kind}`
      const why = error instanceof Error ? error.message : String(error)
      throw new StatusError(
        'InternalError',
        `conversion webhook for ${what} ${why.startsWith('returned ') ? why : `failed: ${why}`}`,
        undefined,
        error,
        { code: 500, reason: '' },
      )
    }
  }
}

/** Objects of one version each, few enough for one review. */
function* portions(objects: readonly JsonObject[]): Generator<JsonObject[]> {
  for (const group of Map.groupBy(objects, ({ apiVersion }) => apiVersion).values()) {
    let portion: JsonObject[] = []
    let length = 0
    for (const object of group) {
      portion.push(object)
      length += JSON.stringify(object).length
      if (portion.length < MOST_TOGETHER && length < LONGEST_TOGETHER) continue
      yield portion
      portion = []
      length = 0
    }
    if (portion.length > 0) yield portion
  }
}

/** A copy that its owner may change. */
export function changeable(object: Frozen<KubernetesObject>): JsonObject {
  return cloneJson(object as unknown as JsonValue) as JsonObject
}
