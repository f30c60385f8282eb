/** Creating objects. */
import { randomUUID } from 'node:crypto'
import { isDroverError } from '../../../../kit/index.ts'
import type { StoredObject } from '../../../store/index.ts'
import { COMPONENT_GROUPS, preventEscalation, restrictNode } from '../access/index.ts'
import {
  type AdmissionRequest,
  completeNew,
  DEFAULT_ACCOUNT,
  quotasOf,
  requireWithinQuotas,
  review,
} from '../admission/index.ts'
import { storeKey } from '../cluster/index.ts'
import type { JsonObject } from '../json.ts'
import type { Reservation } from '../kinds/index.ts'
import { generateName, validateMetadata } from '../metadata.ts'
import type { KubernetesObject } from '../objects.ts'
import { invalidObject, required } from '../problems.ts'
import { formatTime } from '../schema/index.ts'
import { alreadyExists, badRequest, StatusError } from '../status.ts'
import { encodeTail, keptText } from '../storage/index.ts'
import type { AdmissionCall } from '../webhooks/index.ts'
import { objectAdmission } from './admission.ts'
import type { WriteContext } from './context.ts'
import { decodeToKept } from './decode-body.ts'
import { requireOpenNamespace } from './namespaces.ts'
import { requireRoom } from './room.ts'
import { trackFields } from './tracking.ts'

/** How many generated names are tried; two in a row being taken is unlikely in the largest clusters. */
const NAME_ATTEMPTS = 8

/** @throws `BadRequest`, `Invalid` */
function prepareMetadata(context: WriteContext, namespace: string, object: KubernetesObject): void {
  const { resource, cluster } = context
  const { metadata } = object
  if (resource.namespaced) {
    if (metadata.namespace !== undefined && metadata.namespace !== '' && metadata.namespace !== namespace) {
      throw badRequest(
        'the namespace of the provided object does not match the namespace sent on the request',
      )
    }
    metadata.namespace = namespace
  } else delete metadata.namespace
  if ((metadata.resourceVersion ?? '') !== '') {
    throw badRequest('resourceVersion should not be set on objects to be created')
  }
  const written = metadata as unknown as JsonObject
  for (const field of ['resourceVersion', 'selfLink', 'managedFields', 'deletionTimestamp'])
    delete written[field]
  delete metadata.deletionGracePeriodSeconds
  metadata.uid = randomUUID()
  metadata.creationTimestamp = formatTime(cluster.clock.now())
  if (resource.strategy.countsGenerations) metadata.generation = 1
  else delete metadata.generation
}

function requireName({ resource }: WriteContext, { metadata }: KubernetesObject): void {
  if ((metadata.name ?? '') !== '' || (metadata.generateName ?? '') !== '') return
  throw invalidObject(resource, '', [required('metadata.name', 'name or generateName is required')])
}

class Creation {
  readonly #context: WriteContext
  readonly #object: KubernetesObject
  /** The object as it is written. */
  #kept: KubernetesObject
  readonly #namespace: string
  readonly #admission: AdmissionCall<KubernetesObject> | undefined
  readonly #generated: boolean

  constructor(
    context: WriteContext,
    namespace: string,
    object: KubernetesObject,
    admission: AdmissionCall<KubernetesObject> | undefined,
  ) {
    this.#context = context
    this.#namespace = namespace
    this.#object = object
    this.#kept = object
    this.#admission = admission
    this.#generated = (object.metadata.name ?? '') === ''
  }

  async run(): Promise<StoredObject> {
    for (let attempt = 1; ; attempt += 1) {
      if (this.#generated) this.#object.metadata.name = generateName(this.#object.metadata.generateName ?? '')
      this.#prepare()
      await this.#admission?.validate(this.#object, undefined)
      this.#kept = await this.#context.cluster.conversions.toKept(this.#context.resource, this.#object)
      try {
        return await this.#inTurn()
      } catch (error) {
        if (!isDroverError(error, 'AlreadyExists')) throw error
        if (!this.#generated || attempt === NAME_ATTEMPTS) {
          throw alreadyExists(this.#context.resource, this.#object.metadata.name)
        }
      }
    }
  }

  /** Where quotas limit a namespace, one object is made after the other: each must see what the last one used. */
  async #inTurn(): Promise<StoredObject> {
    const request: AdmissionRequest = { ...this.#context, namespace: this.#namespace }
    if (quotasOf(request).length === 0) return await this.#reserveAndWrite()
    return await this.#context.cluster.quotaTurns.run(this.#namespace, async () => {
      requireWithinQuotas(request, quotasOf(request), this.#object, undefined)
      return await this.#reserveAndWrite()
    })
  }

  #validate(): void {
    const { resource, identity, cluster } = this.#context
    const object = this.#object
    const problems = [
      ...validateMetadata(object.metadata, resource.strategy.checkName),
      ...resource.strategy.validate(object, undefined),
    ]
    if (problems.length > 0) throw invalidObject(resource, object.metadata.name, problems)
    restrictNode(identity, { resource, current: undefined, next: object, view: cluster })
    review({ ...this.#context, namespace: this.#namespace }, object, undefined)
    preventEscalation(identity, cluster, { resource, current: undefined, next: object })
  }

  #prepare(): void {
    const { resource, cluster } = this.#context
    resource.strategy.complete(this.#object)
    this.#validate()
    delete this.#object.metadata.managedFields
    trackFields(this.#context.tracking, resource, '', undefined, this.#object, cluster.clock.now())
  }

  async #reserveAndWrite(): Promise<StoredObject> {
    const { resource, cluster } = this.#context
    const reserved = resource.strategy.reserve(this.#object, undefined, cluster.pools)
    if (reserved?.kind === 'refused') {
      throw invalidObject(resource, this.#object.metadata.name, reserved.problems)
    }
    return await this.#write(reserved?.reservation)
  }

  async #write(reservation: Reservation | undefined): Promise<StoredObject> {
    const { resource, cluster, dryRun } = this.#context
    const key = storeKey(resource, this.#namespace, this.#object.metadata.name)
    const tail = encodeTail(this.#kept)
    requireRoom(this.#context, key.name, true, tail.length)
    try {
      if (dryRun) {
        if (cluster.space.get(key) !== undefined) throw alreadyExists(resource, key.name)
        reservation?.cancel()
        const { revision } = cluster.space
        return { key, revision, createdRevision: revision, json: keptText(resource.kept, 0, tail) }
      }
      const stored = await cluster.space.create(key, revision => {
        requireOpenNamespace(this.#context, this.#namespace, key.name)
        return keptText(resource.kept, revision, tail)
      })
      reservation?.commit()
      return stored
    } catch (error) {
      reservation?.cancel()
      throw error
    }
  }
}

/** Makes the account that every namespace has; one that is there already is what was wanted. */
async function makeDefaultAccount({ cluster }: WriteContext, namespace: string): Promise<void> {
  const context: WriteContext = {
    cluster,
    resource: cluster.catalog.get('', 'v1', 'serviceaccounts'),
    identity: { user: COMPONENT_GROUPS.namespaceDefaultsController, groups: [] },
    dryRun: false,
    fieldValidation: 'Strict',
    warn: () => undefined,
  }
  try {
    await createObject(context, namespace, { metadata: { name: DEFAULT_ACCOUNT } })
  } catch (error) {
    if (!(error instanceof StatusError) || error.reason !== 'AlreadyExists') throw error
  }
}

/**
 * Creates an object from a client's body, which it changes.
 *
 * @param namespace empty for kinds without namespaces
 * @throws `BadRequest`, `Invalid`, `AlreadyExists`, `NotFound` and `Forbidden` for its namespace
 */
export async function createObject(
  context: WriteContext,
  namespace: string,
  body: JsonObject,
): Promise<StoredObject> {
  const { strategy } = context.resource
  const object = decodeToKept(context, body)
  prepareMetadata(context, namespace, object)
  requireName(context, object)
  requireOpenNamespace(context, namespace, object.metadata.name ?? '')
  const complete = (each: KubernetesObject) =>
    completeNew({ ...context, namespace }, each, () => makeDefaultAccount(context, namespace))
  await complete(object)
  const { name = '' } = object.metadata
  const admission = objectAdmission(context, { operation: 'CREATE', subresource: '', namespace, name })
  const wanted = admission === undefined ? object : await mutated(context, admission, object, complete)
  strategy.prepareCreate(wanted, context.identity)
  return await new Creation(context, namespace, wanted, admission).run()
}

/** Metadata that only the server gives to new objects. */
const SYSTEM_FIELDS = [
  'uid',
  'creationTimestamp',
  'generation',
  'resourceVersion',
  'selfLink',
  'managedFields',
  'deletionTimestamp',
  'deletionGracePeriodSeconds',
] as const

/** A new object as webhooks want it; what the server has given it stays. @throws `BadRequest` */
async function mutated(
  context: WriteContext,
  admission: AdmissionCall<KubernetesObject>,
  object: KubernetesObject,
  complete: (object: KubernetesObject) => Promise<void>,
): Promise<KubernetesObject> {
  const given = object.metadata as unknown as JsonObject
  // Webhooks see what depends on other fields, too.
  context.resource.strategy.complete(object)
  const wanted = (await admission.mutate(object, undefined, complete)) ?? object
  const { metadata } = wanted
  if ((metadata.namespace ?? '') !== (given.namespace ?? '')) {
    throw badRequest('the namespace of the provided object does not match the namespace sent on the request')
  }
  const target = metadata as unknown as JsonObject
  for (const field of SYSTEM_FIELDS) {
    const value = given[field]
    if (value === undefined) delete target[field]
    else target[field] = value
  }
  requireName(context, wanted)
  return wanted
}
