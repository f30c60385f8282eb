/** The `/v3` API over HTTP. */
import { randomUUID } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { DroverError, type Logger, readJsonBody, requestTarget, sendJson } from '../../kit/index.ts'
import { type Authenticator, authErrors } from '../auth/index.ts'
import type { ModelObject } from '../model/index.ts'
import type { ApiContext } from './context.ts'
import { apiErrors } from './errors.ts'
import { acceptFields } from './fields.ts'
import { formatMarker, parseListQuery, passes, sorted } from './list-query.ts'
import { showResource } from './presentation.ts'
import { commonFields, type LinkBuilder, type ResourceType } from './resource-type.ts'
import { listableFields, showSchema } from './schemas.ts'
import { resourceTypes } from './types/index.ts'

const ROOT = '/v3'

/** Which field of a member names its owner, per plural of the owner: `/v3/stacks/<id>/services`. */
const OWNER_FIELD: Readonly<Record<string, string>> = {
  clusters: 'clusterId',
  projects: 'accountId',
  stacks: 'stackId',
  services: 'serviceId',
  hosts: 'hostId',
}

/** One request, taken apart. */
interface ApiRequest {
  readonly method: string
  readonly query: URLSearchParams
  readonly body: unknown
  readonly urls: LinkBuilder
  /** The API key of who asks. */
  readonly keyId: string
}

/** What is answered. */
interface ApiAnswer {
  readonly status: number
  readonly body: unknown
}

/** Builds URLs on the host name that the client used. */
function linkBuilder(request: IncomingMessage, encrypted: boolean): LinkBuilder {
  const base = `${encrypted ? 'https' : 'http'}://${request.headers.host ?? 'localhost'}${ROOT}`
  return {
    resource: (plural, id, suffix = '') => `${base}/${plural}/${encodeURIComponent(id)}${suffix}`,
    collection: plural => `${base}/${plural}`,
  }
}

export class DroverApi {
  readonly #context: ApiContext
  readonly #authenticator: Authenticator
  readonly #log: Logger
  readonly #types: ReadonlyMap<string, ResourceType>

  constructor(context: ApiContext, authenticator: Authenticator, log: Logger) {
    this.#context = context
    this.#authenticator = authenticator
    this.#log = log
    this.#types = resourceTypes(context)
  }

  /**
   * Answers a request below `/v3`.
   *
   * @param encrypted whether it came over TLS, for the URLs in the answer
   */
  async handle(request: IncomingMessage, response: ServerResponse, encrypted: boolean): Promise<void> {
    const urls = linkBuilder(request, encrypted)
    response.setHeader('X-API-Schemas', urls.collection('schemas'))
    try {
      const principal = this.#authenticator.require(request)
      if (principal.kind !== 'admin') throw authErrors.Forbidden()
      const { path, query } = requestTarget(request)
      const method = request.method ?? 'GET'
      const body = method === 'GET' || method === 'HEAD' ? undefined : await readJsonBody(request)
      const segments = path
        .slice(ROOT.length)
        .split('/')
        .filter(segment => segment !== '')
        .map(decodeURIComponent)
      const answer = await this.#route(segments, { method, query, body, urls, keyId: principal.keyId })
      sendJson(response, answer.status, answer.body)
    } catch (error) {
      sendApiError(response, error, this.#log)
    }
  }

  async #route(segments: readonly string[], request: ApiRequest): Promise<ApiAnswer> {
    const [first, id, member, memberId] = segments
    if (first === undefined) return this.#root(request)
    if (first === 'schemas') return this.#schemas(id, request)
    // `/v3/projects/<id>/services[/<id>]`: the same as without, limited to the environment.
    if (member !== undefined && id !== undefined) {
      const owner = this.#type(first)
      const ownerField = OWNER_FIELD[first]
      if (ownerField === undefined || segments.length > 4)
        throw apiErrors.NotFound({ object: segments.join('/') })
      const { id: ownerId } = this.#find(owner, id)
      return await this.#typed(this.#type(member), memberId, request, { field: ownerField, value: ownerId })
    }
    return await this.#typed(this.#type(first), id, request, undefined)
  }

  #type(plural: string): ResourceType {
    const type = this.#types.get(plural.toLowerCase())
    if (type === undefined) throw apiErrors.NotFound({ object: `type ${plural}` })
    return type
  }

  #find(type: ResourceType, id: string): ModelObject {
    const object = this.#context.model.of(type.kind).get(id)
    if (object === undefined) throw apiErrors.NotFound({ object: `${type.type} ${id}` })
    return object
  }

  async #typed(
    type: ResourceType,
    id: string | undefined,
    request: ApiRequest,
    owner: { field: string; value: string } | undefined,
  ): Promise<ApiAnswer> {
    if (id === undefined) {
      if (request.method === 'GET') return { status: 200, body: this.#list(type, request, owner) }
      if (request.method === 'POST') return await this.#create(type, request, owner)
      throw apiErrors.MethodNotAllowed({ object: type.plural })
    }
    const object = this.#find(type, id)
    const action = request.query.get('action')
    if (request.method === 'GET') return { status: 200, body: showResource(type, object, request.urls) }
    if (request.method === 'DELETE' || (request.method === 'POST' && action === 'remove')) {
      return await this.#remove(type, object, request)
    }
    if (request.method === 'PUT') return await this.#update(type, object, request)
    if (request.method === 'POST' && action !== null) return await this.#act(type, object, action, request)
    throw apiErrors.MethodNotAllowed({ object: `${type.type} ${id}` })
  }

  async #create(
    type: ResourceType,
    request: ApiRequest,
    owner: { field: string; value: string } | undefined,
  ): Promise<ApiAnswer> {
    if (type.create === undefined) throw apiErrors.MethodNotAllowed({ object: type.plural })
    const given = (request.body ?? {}) as Record<string, unknown>
    const body = owner === undefined ? given : { [owner.field]: owner.value, ...given }
    const object = await type.create(acceptFields({ ...commonFields, ...type.fields }, body, 'create'))
    const shown = { ...showResource(type, object, request.urls), ...(type.showOnce?.(object as never) ?? {}) }
    return { status: 201, body: shown }
  }

  async #update(type: ResourceType, object: ModelObject, request: ApiRequest): Promise<ApiAnswer> {
    if (type.update === undefined) throw apiErrors.MethodNotAllowed({ object: `${type.type} ${object.id}` })
    const input = acceptFields({ ...commonFields, ...type.fields }, request.body, 'update')
    const updated = await type.update(object as never, input)
    return { status: 200, body: showResource(type, updated, request.urls) }
  }

  async #remove(type: ResourceType, object: ModelObject, request: ApiRequest): Promise<ApiAnswer> {
    if (type.remove === undefined) throw apiErrors.MethodNotAllowed({ object: `${type.type} ${object.id}` })
    const removed = await type.remove(object as never)
    return { status: 200, body: showResource(type, removed, request.urls) }
  }

  async #act(type: ResourceType, object: ModelObject, name: string, request: ApiRequest): Promise<ApiAnswer> {
    const action = type.actions?.[name]
    if (action === undefined) throw apiErrors.InvalidAction({ object: `${type.type} action ${name}` })
    if (!action.available(object as never)) {
      throw apiErrors.ActionNotAvailable({
        object: `${type.type} ${object.name}`,
        message: `the action ${name} is not available in state ${object.state}`,
      })
    }
    const result = await action.run(object as never, request.body, request.keyId)
    const body =
      action.output === type.type ? showResource(type, result as ModelObject, request.urls) : result
    return { status: 200, body }
  }

  #list(
    type: ResourceType,
    { query, urls }: ApiRequest,
    owner: { field: string; value: string } | undefined,
  ): Record<string, unknown> {
    const fields = listableFields(type)
    const list = parseListQuery(query, fields)
    const filters =
      owner === undefined
        ? list.filters
        : [...list.filters, { field: owner.field, modifier: 'eq' as const, values: [owner.value] }]
    const shown = [...this.#context.model.of(type.kind).all()].map(object =>
      showResource(type, object as ModelObject, urls),
    )
    const matching = sorted(
      shown.filter(resource => passes(resource, filters)),
      list,
    )
    const data = matching.slice(list.offset, list.offset + list.limit)
    const end = list.offset + data.length
    const page = (offset: number) => {
      const next = new URLSearchParams(query)
      next.set('marker', formatMarker(offset))
      return `${urls.collection(type.plural)}?${next}`
    }
    return {
      type: 'collection',
      resourceType: type.type,
      links: { self: urls.collection(type.plural) },
      createTypes: type.create === undefined ? {} : { [type.type]: urls.collection(type.plural) },
      actions: {},
      data,
      sortLinks: Object.fromEntries(
        Object.keys(fields).map(field => [field, `${urls.collection(type.plural)}?sort=${field}`]),
      ),
      pagination: {
        first: list.offset > 0 ? page(0) : null,
        previous: list.offset > 0 ? page(Math.max(0, list.offset - list.limit)) : null,
        next: end < matching.length ? page(end) : null,
        limit: list.limit,
        total: matching.length,
        partial: end < matching.length,
      },
      sort: list.sort === undefined ? null : { name: list.sort, order: list.order, reverse: null },
      filters: Object.fromEntries(
        Object.keys(fields).map(field => [
          field,
          list.filters
            .filter(filter => filter.field === field)
            .flatMap(filter => filter.values.map(value => ({ modifier: filter.modifier, value }))) || null,
        ]),
      ),
      createDefaults: {},
    }
  }

  #schemas(id: string | undefined, { method, urls }: ApiRequest): ApiAnswer {
    if (method !== 'GET') throw apiErrors.MethodNotAllowed({ object: 'schemas' })
    const schemas = [...this.#types.values()].map(type => showSchema(type, urls))
    if (id === undefined) {
      return {
        status: 200,
        body: {
          type: 'collection',
          resourceType: 'schema',
          links: { self: urls.collection('schemas') },
          data: schemas,
        },
      }
    }
    const schema = schemas.find(candidate => String(candidate.id).toLowerCase() === id.toLowerCase())
    if (schema === undefined) throw apiErrors.NotFound({ object: `schema ${id}` })
    return { status: 200, body: schema }
  }

  #root({ method, urls }: ApiRequest): ApiAnswer {
    if (method !== 'GET') throw apiErrors.MethodNotAllowed({ object: ROOT })
    const links = Object.fromEntries([...this.#types.keys()].map(plural => [plural, urls.collection(plural)]))
    return {
      status: 200,
      body: {
        id: 'v3',
        type: 'apiVersion',
        links: { ...links, schemas: urls.collection('schemas') },
        actions: {},
      },
    }
  }
}

/** Answers with the error document of the API. What nobody expected is logged and shown without details. */
export function sendApiError(response: ServerResponse, error: unknown, log: Logger): void {
  const known = error instanceof DroverError ? error : undefined
  if (known === undefined) log.error({ err: error }, 'a request failed')
  const invalidPath = error instanceof URIError
  const status = known?.status ?? (invalidPath ? 400 : 500)
  if (response.headersSent) {
    response.destroy()
    return
  }
  if (status === 401) response.setHeader('WWW-Authenticate', 'Basic realm="drover"')
  sendJson(response, status, {
    id: randomUUID(),
    type: 'error',
    links: {},
    actions: {},
    status,
    code: known?.code ?? (invalidPath ? 'InvalidFormat' : 'ServerError'),
    message: known?.message ?? (invalidPath ? 'the path is not valid' : 'the server failed to answer'),
    detail: known?.mend ?? null,
    fieldName: known?.field ?? null,
    expected: known?.expected ?? null,
  })
}
