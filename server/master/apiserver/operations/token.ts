/** Tokens for service accounts (`serviceaccounts/token`, TokenRequest). */
import { nodeNameOf } from '../access/index.ts'
import type { Frozen, JsonObject } from '../json.ts'
import type { KubernetesObject, Pod } from '../objects.ts'
import { invalid, invalidObject, notSupported } from '../problems.ts'
import { formatTime } from '../schema/index.ts'
import { conflict, forbidden, notFound, pathNotFound } from '../status.ts'
import { API_AUDIENCE, type BoundKind, type BoundObject, type ServiceAccountTokens } from '../tokens/index.ts'
import { admitBody } from './admission.ts'
import type { WriteContext } from './context.ts'
import { decodeKind } from './decode-body.ts'
import { getObject } from './read.ts'

/** Seconds; shorter tokens would be renewed all the time, longer ones do not fit the field. */
const SHORTEST = 600
const LONGEST = 2 ** 32

interface TokenRequest {
  readonly metadata?: { readonly name?: string; readonly namespace?: string }
  readonly spec: {
    readonly audiences?: readonly string[]
    readonly expirationSeconds?: number
    readonly boundObjectRef?: {
      readonly kind?: string
      readonly apiVersion?: string
      readonly name?: string
      readonly uid?: string
    }
  }
}

const BOUND_KINDS = new Map<string, { readonly kind: BoundKind; readonly resource: string }>([
  ['Pod', { kind: 'pod', resource: 'pods' }],
  ['Secret', { kind: 'secret', resource: 'secrets' }],
  ['Node', { kind: 'node', resource: 'nodes' }],
])

const REQUEST = { group: 'authentication.k8s.io', kind: 'TokenRequest' }

/** @throws `Invalid` */
function checkRequest(name: string, { spec }: TokenRequest): void {
  const { expirationSeconds = 3600, boundObjectRef: bound } = spec
  const problems = []
  if (expirationSeconds < SHORTEST) {
    problems.push(
      invalid('spec.expirationSeconds', expirationSeconds, 'may not specify a duration less than 10 minutes'),
    )
  }
  if (expirationSeconds > LONGEST) {
    problems.push(
      invalid(
        'spec.expirationSeconds',
        expirationSeconds,
        'may not specify a duration larger than 2^32 seconds',
      ),
    )
  }
  if (bound !== undefined) {
    if (!BOUND_KINDS.has(bound.kind ?? '')) {
      problems.push(notSupported('spec.boundObjectRef.kind', bound.kind ?? '', BOUND_KINDS.keys()))
    }
    if (bound.apiVersion !== 'v1') {
      problems.push(notSupported('spec.boundObjectRef.apiVersion', bound.apiVersion ?? '', ['v1']))
    }
  }
  if (problems.length > 0) throw invalidObject(REQUEST, name, problems)
}

class Bindings {
  readonly #context: WriteContext
  readonly #namespace: string
  readonly #account: string

  constructor(context: WriteContext, namespace: string, account: string) {
    this.#context = context
    this.#namespace = namespace
    this.#account = account
  }

  /** What the token is bound to. @throws `NotFound`, `Conflict`, `BadRequest` */
  of({ boundObjectRef: wanted }: TokenRequest['spec']): Map<BoundKind, BoundObject> {
    const bound = new Map<BoundKind, BoundObject>()
    if (wanted === undefined) return bound
    const entry = BOUND_KINDS.get(wanted.kind ?? '')
    if (entry === undefined) return bound
    const object = this.#find(entry.resource, wanted.name ?? '', wanted.uid)
    bound.set(entry.kind, { name: object.metadata.name, uid: object.metadata.uid ?? '' })
    if (entry.kind === 'pod') this.#pod(object as Frozen<Pod>, bound)
    return bound
  }

  #pod(pod: Frozen<Pod>, bound: Map<BoundKind, BoundObject>): void {
    const { resource } = this.#context
    const account = pod.spec.serviceAccountName ?? ''
    if (account !== this.#account) {
      const why = `cannot bind token for serviceaccount "${this.#account}" to pod running with different serviceaccount name.`
      throw forbidden(resource, this.#account, why)
    }
    const node = pod.spec.nodeName ?? ''
    if (node === '') return
    const stored = this.#context.cluster.find('nodes', '', node)
    if (stored === undefined) return
    bound.set('node', { name: node, uid: this.#context.cluster.read(stored).metadata.uid ?? '' })
  }

  #find(resourceName: string, name: string, uid: string | undefined): Frozen<KubernetesObject> {
    const { cluster } = this.#context
    const resource = cluster.catalog.get('', 'v1', resourceName)
    const stored = cluster.find(resourceName, resource.namespaced ? this.#namespace : '', name)
    if (stored === undefined) throw notFound(resource, name)
    const object = cluster.read(stored)
    if (uid !== undefined && uid !== '' && uid !== object.metadata.uid) {
      const why = `the UID in the bound object reference (${uid}) does not match the UID in record. The object might have been deleted and then recreated`
      throw conflict(resource, name, why)
    }
    return object
  }
}

/** A node's agent gets tokens only for pods that run on it (NodeRestriction). @throws `Forbidden` */
function requireOwnPod(
  { identity, resource, cluster }: WriteContext,
  namespace: string,
  name: string,
  { spec }: TokenRequest,
): void {
  const node = nodeNameOf(identity)
  if (node === undefined) return
  const { kind, name: podName = '' } = spec.boundObjectRef ?? {}
  if (kind !== 'Pod') throw forbidden(resource, name, `node requested token not bound to a pod`)
  const stored = cluster.find('pods', namespace, podName)
  if (stored !== undefined && (cluster.read(stored) as Frozen<Pod>).spec.nodeName === node) return
  throw forbidden(resource, name, `node requested token bound to a pod scheduled on a different node`)
}

/**
 * Makes a token for a service account.
 *
 * @returns the request, with the token in its status
 * @throws `BadRequest`, `Invalid`, `NotFound`, `Conflict`, `Forbidden`
 */
export async function requestToken(
  context: WriteContext,
  namespace: string,
  name: string,
  body: JsonObject,
  tokens: ServiceAccountTokens,
): Promise<JsonObject> {
  const { cluster, resource } = context
  const subresource = resource.subresources.get('token')
  if (subresource?.schema === undefined) throw pathNotFound()
  decodeKind(body, subresource.kind, subresource.schema, context)
  const place = { operation: 'CREATE', subresource: 'token', namespace, name } as const
  const request = (await admitBody(context, place, body)) as unknown as TokenRequest
  const account = cluster.read(getObject(cluster, resource, namespace, name))
  checkRequest(name, request)
  requireOwnPod(context, namespace, name, request)
  const audiences =
    (request.spec.audiences ?? []).length === 0 ? [API_AUDIENCE] : (request.spec.audiences ?? [])
  const seconds = request.spec.expirationSeconds ?? 3600
  const issued = Math.floor(cluster.clock.now() / 1000)
  const expires = issued + seconds
  const token = await tokens.issue(cluster.id, {
    account: { namespace, name, uid: account.metadata.uid ?? '' },
    audiences,
    issued,
    expires,
    bound: new Bindings(context, namespace, name).of(request.spec),
  })
  const now = formatTime(cluster.clock.now())
  return {
    kind: 'TokenRequest',
    apiVersion: 'authentication.k8s.io/v1',
    metadata: { ...request.metadata, name, namespace, creationTimestamp: now },
    spec: {
      audiences: [...audiences],
      expirationSeconds: seconds,
      boundObjectRef: (request.spec.boundObjectRef ?? null) as JsonObject | null,
    },
    status: { token, expirationTimestamp: formatTime(expires * 1000) },
  }
}
