/** `GET pods/NAME/log`: the text of a container's log, from its node. */
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Cluster } from '../cluster/index.ts'
import type { Frozen } from '../json.ts'
import type { LogOptions, NodeGateway } from '../nodes.ts'
import type { Pod } from '../objects.ts'
import { badRequest } from '../status.ts'
import { containerOf } from '../streams/index.ts'
import type { Answer } from './answer.ts'
import { flag } from './query.ts'

/** A whole number of at least `least`. */
function limit(query: URLSearchParams, name: string, least: number): number | undefined {
  const text = query.get(name)
  if (text === null || text === '') return undefined
  const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN
  if (!(value >= least)) throw badRequest(`${name} must be a whole number of at least ${least}`)
  return value
}

/** @throws `BadRequest` */
export function logOptions(query: URLSearchParams): LogOptions {
  const tailLines = limit(query, 'tailLines', 0)
  const sinceSeconds = limit(query, 'sinceSeconds', 1)
  const limitBytes = limit(query, 'limitBytes', 1)
  const sinceTime = query.get('sinceTime') ?? ''
  if (sinceTime !== '' && Number.isNaN(Date.parse(sinceTime)))
    throw badRequest('sinceTime must be a time (RFC 3339)')
  if (sinceTime !== '' && sinceSeconds !== undefined) {
    throw badRequest('at most one of `sinceTime` or `sinceSeconds` may be specified')
  }
  return {
    follow: flag(query, 'follow') ?? false,
    previous: flag(query, 'previous') ?? false,
    timestamps: flag(query, 'timestamps') ?? false,
    ...(tailLines === undefined ? {} : { tailLines }),
    ...(sinceSeconds === undefined ? {} : { sinceSeconds }),
    ...(limitBytes === undefined ? {} : { limitBytes }),
    ...(sinceTime === '' ? {} : { sinceTime }),
  }
}

/** Opens the log that somebody asks for. @throws `BadRequest`, and what the gateway throws */
export async function openPodLog(
  cluster: Cluster,
  nodes: NodeGateway,
  pod: Frozen<Pod>,
  query: URLSearchParams,
): Promise<Readable> {
  const options = logOptions(query)
  const container = containerOf(pod, query.get('container') ?? '')
  const { nodeName = '' } = pod.spec
  if (nodeName === '') throw badRequest(`pod ${pod.metadata.name} does not have a host assigned`)
  const { namespace = '', name, uid = '' } = pod.metadata
  return await nodes.containerLogs(cluster.id, nodeName, { namespace, pod: name, uid, container, options })
}

/** Sends a log as the answer. */
export async function answerPodLog({ response }: Answer, log: Readable): Promise<void> {
  response.writeHead(200, { 'content-type': 'text/plain' })
  // Followers wait for the first line, and their clients for the headers.
  response.flushHeaders()
  await pipeline(log, response)
}
