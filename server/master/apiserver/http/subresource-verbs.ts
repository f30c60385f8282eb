/** Requests about subresources that are not a part of their object: what is done with it, or reached through it. */
import type { Readable } from 'node:stream'
import type { Attributes } from '../access/index.ts'
import type { Frozen } from '../json.ts'
import type { Pod, Scale } from '../objects.ts'
import {
  bindPod,
  evictPod,
  getObject,
  requestToken,
  type ScaleChange,
  scaleObject,
  scaleOf,
  type WriteContext,
} from '../operations/index.ts'
import { badRequest, successObject } from '../status.ts'
import { answerProxy, type ProxyParts, type ProxyRequest, serveLogWebsocket } from '../streams/index.ts'
import type { ServiceAccountTokens } from '../tokens/index.ts'
import { type ObjectBodies, readPatch } from './body.ts'
import { requireAdmitted } from './connections.ts'
import { answerPodLog, openPodLog } from './pod-log.ts'
import { type AskedResource, contextOf, type ResourceRequest } from './resource-request.ts'
import type { WebsocketContent } from './websocket-content.ts'

function proxiedResource(resource: string): ProxyRequest['resource'] {
  return resource === 'services' || resource === 'nodes' ? resource : 'pods'
}

export class SubresourceVerbs {
  readonly #proxy: ProxyParts
  readonly #tokens: ServiceAccountTokens
  readonly #bodies: ObjectBodies

  constructor(proxy: ProxyParts, tokens: ServiceAccountTokens, bodies: ObjectBodies) {
    this.#proxy = proxy
    this.#tokens = tokens
    this.#bodies = bodies
  }

  async #scale({ answer, cluster, target }: ResourceRequest, context: WriteContext): Promise<Scale> {
    const { resource, namespace, name } = target
    const { request } = answer
    if (request.method === 'GET') {
      const stored = getObject(cluster, resource, namespace, name)
      return scaleOf(context, await cluster.conversions.read(resource, stored))
    }
    const change: ScaleChange =
      request.method === 'PUT'
        ? { type: 'replace', body: await this.#bodies.require(request, cluster) }
        : await readPatch(request).then(({ type, patch }) => ({ type: 'patch', patchType: type, patch }))
    const scaled = await scaleObject(context, namespace, name, change)
    return scaleOf(context, await cluster.conversions.read(resource, scaled))
  }

  /**
   * Answers one request.
   *
   * @param attributes what it takes to be let in
   * @throws `StatusError`s, and errors of the store and the nodes
   */
  async answer(request: ResourceRequest, name: string, attributes: Attributes): Promise<void> {
    const { answer, cluster, target } = request
    const context = contextOf(request)
    switch (name) {
      case 'binding':
        await bindPod(
          context,
          target.namespace,
          target.name,
          await this.#bodies.require(answer.request, cluster),
        )
        return await answer.send(201, JSON.stringify(successObject(undefined, 201)))
      case 'eviction':
        await evictPod(
          context,
          target.namespace,
          target.name,
          await this.#bodies.require(answer.request, cluster),
        )
        return await answer.send(201, JSON.stringify(successObject(undefined, 201)))
      case 'token': {
        const body = await this.#bodies.require(answer.request, cluster)
        const token = await requestToken(context, target.namespace, target.name, body, this.#tokens)
        return await answer.send(201, JSON.stringify(token))
      }
      case 'scale':
        return await answer.send(200, JSON.stringify(await this.#scale(request, context)))
      case 'proxy': {
        await requireAdmitted({ ...request, warn: text => answer.warn(text) })
        request.lasts(attributes)
        return await answerProxy(answer.request, answer.response, this.#proxy, {
          cluster,
          resource: proxiedResource(target.resource.resource),
          namespace: target.namespace,
          name: target.name,
          path: target.proxied ?? '',
        })
      }
      case 'log': {
        request.lasts(attributes)
        return await answerPodLog(answer, await this.#openLog(request))
      }
      default:
        throw badRequest('Upgrade request required')
    }
  }

  /** The log of a container for a websocket. @throws as `answer` */
  async logOver(request: AskedResource, attributes: Attributes): Promise<WebsocketContent> {
    const log = await this.#openLog(request)
    const discard = () => log.destroy()
    return {
      attributes,
      watched: undefined,
      serve(websocket) {
        websocket.once('close', discard)
        serveLogWebsocket(websocket, log)
        return undefined
      },
      discard,
    }
  }

  async #openLog({ cluster, target, query }: AskedResource): Promise<Readable> {
    const stored = getObject(cluster, target.resource, target.namespace, target.name)
    return await openPodLog(cluster, this.#proxy.nodes, cluster.read(stored) as Frozen<Pod>, query)
  }
}
