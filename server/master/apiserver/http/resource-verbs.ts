/** Requests about the objects of a resource: from verb to operation to answer. */
import { type Attributes, type Authorizer, requireAccess, requireSigner, type Verb } from '../access/index.ts'
import type { DeleteOptions } from '../objects.ts'
import {
  applyObject,
  createObject,
  decodeKind,
  deleteObject,
  deleteObjects,
  getObject,
  listObjects,
  type Outcome,
  patchObject,
  updateObject,
  type WriteContext,
} from '../operations/index.ts'
import { negotiate, negotiateWhole, Presenter } from '../presentation/index.ts'
import { answerReview } from '../reviews/index.ts'
import { decodeObject } from '../schema/index.ts'
import { Selection, type SelectorTexts } from '../selection/index.ts'
import { badRequest, StatusError, successObject } from '../status.ts'
import type { ProxyParts } from '../streams/index.ts'
import type { ServiceAccountTokens } from '../tokens/index.ts'
import { type FrameSink, type Watches, WebsocketSink } from '../watch/index.ts'
import { isApply, ObjectBodies, readPatch } from './body.ts'
import { deleteParameters, fieldManager, flag, listOptions, selectorTexts, watchOptions } from './query.ts'
import { type AskedResource, contextOf, PARTS, partOf, type ResourceRequest } from './resource-request.ts'
import type { ResourceTarget } from './route.ts'
import { SubresourceVerbs } from './subresource-verbs.ts'
import type { WebsocketContent } from './websocket-content.ts'
import { YamlReader } from './yaml/index.ts'

const ITEM_VERBS: Readonly<Record<string, Verb>> = {
  GET: 'get',
  PUT: 'update',
  PATCH: 'patch',
  DELETE: 'delete',
  POST: 'create',
}
const COLLECTION_VERBS: Readonly<Record<string, Verb>> = {
  GET: 'list',
  POST: 'create',
  DELETE: 'deletecollection',
}

function methodNotAllowed(): StatusError {
  return new StatusError(
    'MethodNotAllowed',
    'the server does not allow this method on the requested resource',
  )
}

/** @throws `MethodNotAllowed`, `BadRequest` */
function verbOf({ answer, target, query }: AskedResource): Verb {
  const { resource, subresource, name, namespace } = target
  const method = answer.request.method ?? ''
  let verb = name === '' ? COLLECTION_VERBS[method] : ITEM_VERBS[method]
  if (verb === 'list' && flag(query, 'watch') === true) verb = 'watch'
  if (target.watched === true) verb = method === 'GET' ? 'watch' : undefined
  if (verb === undefined || !(subresource ?? resource).verbs.includes(verb)) throw methodNotAllowed()
  if (verb === 'create' && name !== '' && subresource === undefined) throw methodNotAllowed()
  // Only inside of a namespace can something be created.
  if (verb === 'create' && resource.namespaced && namespace === '') throw methodNotAllowed()
  return verb
}

/** One object is watched as the one of its name. */
function selectorsOf({ name, watched }: ResourceTarget, query: URLSearchParams): SelectorTexts {
  if (name === '') return selectorTexts(query)
  if (watched !== true) return NO_SELECTORS
  const { labelSelector, fieldSelector } = selectorTexts(query)
  const named = `metadata.name=${name.replaceAll(/[\\,=]/g, '\\$&')}`
  return { labelSelector, fieldSelector: fieldSelector ? `${named},${fieldSelector}` : named }
}

export interface ResourceVerbsParts {
  readonly authorizer: Authorizer
  readonly watches: Watches
  readonly proxy: ProxyParts
  readonly tokens: ServiceAccountTokens
}

export class ResourceVerbs {
  readonly #authorizer: Authorizer
  readonly #watches: Watches
  readonly #bodies = new ObjectBodies(new YamlReader())
  readonly #subresources: SubresourceVerbs

  constructor({ authorizer, watches, proxy, tokens }: ResourceVerbsParts) {
    this.#authorizer = authorizer
    this.#watches = watches
    this.#subresources = new SubresourceVerbs(proxy, tokens, this.#bodies)
  }

  /** Answers one request. @throws `StatusError`s, and errors of the store */
  async answer(request: ResourceRequest): Promise<void> {
    const { answer, cluster, target, query } = request
    const { verb, selection, attributes } = await this.#admit(request)
    const { resource, subresource } = target
    if (resource.review) return await this.#review(request)
    if (resource.warning !== undefined) answer.warn(resource.warning)
    if (subresource !== undefined && !PARTS.has(subresource.name)) {
      await this.#subresources.answer(request, subresource.name, attributes)
      return
    }
    const representation = negotiate(answer.request.headers.accept, query.get('includeObject'))
    answer.media = representation.media
    const presenter = new Presenter(cluster, resource, representation)
    if (verb === 'watch') this.#watch(request, presenter, selection, attributes)
    else await this.#run(request, verb, presenter, selection)
  }

  /**
   * What somebody gets who asks to have it over a websocket, as programs in browsers do: a watch, or the log of a container.
   *
   * @throws `BadRequest` for anything else, and as `answer`
   */
  async overWebsocket(request: AskedResource): Promise<WebsocketContent> {
    const { answer, cluster, target, query } = request
    const { verb, selection, attributes } = await this.#admit(request)
    if (target.subresource?.name === 'log') return await this.#subresources.logOver(request, attributes)
    if (verb !== 'watch') throw badRequest('nothing here speaks another protocol')
    const { resource } = target
    const presenter = new Presenter(
      cluster,
      resource,
      negotiate(answer.request.headers.accept, query.get('includeObject')),
    )
    const start = this.#prepareWatch(request, presenter, selection)
    return {
      attributes,
      watched: resource,
      serve: websocket => start(new WebsocketSink(websocket)),
      discard: () => undefined,
    }
  }

  /** What a request asks for, when its sender may. @throws `Forbidden`, `MethodNotAllowed`, `BadRequest` */
  async #admit(
    request: AskedResource,
  ): Promise<{ verb: Verb; selection: Selection; attributes: Attributes }> {
    const { cluster, identity, target, query } = request
    const verb = verbOf(request)
    const { resource, subresource, namespace, name } = target
    const selection = new Selection(selectorsOf(target, query), resource.strategy.selectable)
    const attributes: Attributes = {
      identity,
      verb,
      group: resource.group,
      resource: resource.resource,
      subresource: subresource?.name ?? '',
      namespace,
      name: name === '' ? (selection.requiredValue('metadata.name') ?? '') : name,
      requiredField: field => selection.requiredValue(field),
      requiredLabel: key => selection.requiredLabel(key),
    }
    await requireAccess(this.#authorizer, attributes, cluster)
    await requireSigner(this.#authorizer, attributes, cluster)
    return { verb, selection, attributes }
  }

  async #run(
    request: ResourceRequest,
    verb: Exclude<Verb, 'watch'>,
    presenter: Presenter,
    selection: Selection,
  ): Promise<void> {
    switch (verb) {
      case 'get':
        return await this.#get(request, presenter)
      case 'list':
        return await this.#list(request, presenter, selection)
      case 'create':
        return await this.#create(request, presenter)
      case 'update':
        return await this.#update(request, presenter)
      case 'patch':
        return await this.#patch(request, presenter)
      case 'delete':
        return await this.#delete(request, presenter)
      case 'deletecollection':
        return await this.#deleteCollection(request, presenter, selection)
    }
  }

  async #get({ answer, cluster, target }: ResourceRequest, presenter: Presenter): Promise<void> {
    const stored = getObject(cluster, target.resource, target.namespace, target.name)
    await answer.send(200, await presenter.present(stored))
  }

  async #list(
    { answer, cluster, target, query }: ResourceRequest,
    presenter: Presenter,
    selection: Selection,
  ): Promise<void> {
    const list = listObjects(cluster, target.resource, target.namespace, selection, listOptions(query))
    await presenter.prepare(list.objects)
    await answer.sendParts(200, presenter.list(list))
  }

  #watch(request: ResourceRequest, presenter: Presenter, selection: Selection, attributes: Attributes): void {
    const start = this.#prepareWatch(request, presenter, selection)
    const { response } = request.answer
    response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'no-cache, private' })
    response.flushHeaders()
    request.lasts(attributes, start(response))
  }

  #prepareWatch(
    { cluster, target: { resource, namespace }, query }: AskedResource,
    presenter: Presenter,
    selection: Selection,
  ): (sink: FrameSink) => () => void {
    const options = watchOptions(query)
    return this.#watches.prepare({ cluster, resource, namespace, selection, presenter, options })
  }

  async #create(request: ResourceRequest, presenter: Presenter): Promise<void> {
    const body = await this.#bodies.require(request.answer.request, request.cluster)
    const stored = await createObject(contextOf(request), request.target.namespace, body)
    await request.answer.send(201, await presenter.present(stored))
  }

  async #update(request: ResourceRequest, presenter: Presenter): Promise<void> {
    const { namespace, name } = request.target
    const body = await this.#bodies.require(request.answer.request, request.cluster)
    const { outcome, created } = await updateObject(
      contextOf(request),
      namespace,
      name,
      body,
      partOf(request.target),
    )
    await request.answer.send(created ? 201 : 200, await presenter.present(outcome.stored))
  }

  async #patch(request: ResourceRequest, presenter: Presenter): Promise<void> {
    const { namespace, name } = request.target
    if (isApply(request.answer.request)) return await this.#apply(request, presenter)
    const { type, patch } = await readPatch(request.answer.request)
    const target = { namespace, name, part: partOf(request.target) }
    const outcome = await patchObject(contextOf(request), target, type, patch)
    await request.answer.send(200, await presenter.present(outcome.stored))
  }

  async #apply(request: ResourceRequest, presenter: Presenter): Promise<void> {
    const { answer, cluster, identity, query, target } = request
    const { namespace, name, resource } = target
    const applied = await this.#bodies.readApplied(answer.request, cluster)
    const { outcome, created } = await applyObject(
      contextOf(request),
      { namespace, name, part: partOf(target) },
      applied,
      {
        manager: fieldManager(query),
        force: flag(query, 'force') === true,
        mayCreate: () =>
          requireAccess(
            this.#authorizer,
            {
              identity,
              verb: 'create',
              group: resource.group,
              resource: resource.resource,
              subresource: '',
              namespace,
              name,
              requiredField: () => undefined,
            },
            cluster,
          ),
      },
    )
    await answer.send(created ? 201 : 200, await presenter.present(outcome.stored))
  }

  async #delete(request: ResourceRequest, presenter: Presenter): Promise<void> {
    const { namespace, name, resource } = request.target
    const { options, context } = await this.#deletion(request)
    const outcome = await deleteObject(context, namespace, name, options)
    const gone = outcome.type === 'removed' && !resource.showsDeleted
    await request.answer.send(
      200,
      gone ? deletedStatus(request, outcome) : await presenter.present(outcome.stored),
    )
  }

  async #deleteCollection(
    request: ResourceRequest,
    presenter: Presenter,
    selection: Selection,
  ): Promise<void> {
    const { answer, cluster, target, query } = request
    const { options, context } = await this.#deletion(request)
    const list = listObjects(cluster, target.resource, target.namespace, selection, listOptions(query))
    await deleteObjects(context, list.objects, options)
    await presenter.prepare(list.objects)
    await answer.sendParts(200, presenter.list(list))
  }

  /** The options of a delete: from the body, or from the query. @throws `BadRequest` */
  async #deletion(request: ResourceRequest): Promise<{ options: DeleteOptions; context: WriteContext }> {
    const { answer, cluster, query } = request
    const body = await this.#bodies.read(answer.request, cluster)
    const context = contextOf(request)
    const parameters = deleteParameters(query)
    if (body === undefined) return { options: parameters, context }
    const schema = cluster.catalog.schemas.byName('apimachinery.pkg.apis.meta.v1.DeleteOptions')
    decodeObject(body, schema, 'DeleteOptions in version "v1" cannot be handled as a DeleteOptions')
    const options: DeleteOptions = { ...parameters, ...body }
    const dryRun = context.dryRun || options.dryRun?.includes('All') === true
    return { options, context: { ...context, dryRun } }
  }

  /** Answers a question. */
  async #review(request: ResourceRequest): Promise<void> {
    const { answer, cluster, identity, identify, target } = request
    const { resource, namespace } = target
    answer.media = negotiateWhole(answer.request.headers.accept).media
    const body = await this.#bodies.require(answer.request, cluster)
    decodeKind(body, resource, resource.schema, contextOf(request))
    const context = { identity, identify, authorizer: this.#authorizer, view: cluster, namespace }
    await answer.send(201, JSON.stringify(await answerReview(resource, body, context)))
  }
}

const NO_SELECTORS = { labelSelector: undefined, fieldSelector: undefined }

function deletedStatus({ cluster, target }: ResourceRequest, { stored }: Outcome): string {
  const { group, resource } = target.resource
  const { uid } = cluster.read(stored).metadata
  return JSON.stringify(
    successObject({ name: stored.key.name, group, kind: resource, ...(uid === undefined ? {} : { uid }) }),
  )
}
