/**
 * `pods/NAME:PORT/proxy/…`, `services/NAME:PORT/proxy/…` and `nodes/NAME/proxy/…`: HTTP to what runs in pods and to what nodes
 * answer about themselves, through their hosts' agents and never by an address.
 */
import { request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { KUBELET_PORT } from '../../../../protocol/index.ts'
import { type Destination, endpointsOf, findPod, unreachable } from '../backends/index.ts'
import type { OwnIdentity } from '../certificates/index.ts'
import type { Cluster } from '../cluster/index.ts'
import type { Frozen } from '../json.ts'
import type { NodeGateway } from '../nodes.ts'
import type { Pod } from '../objects.ts'
import { badRequest } from '../status.ts'
import { connectToNode } from './node-connection.ts'
import { forwardedHeaders, passOn } from './proxied-answer.ts'
import { secured } from './secured.ts'

/** Milliseconds until a pod has to begin its answer. */
const DEADLINE = 60_000
const NAME = /^(?:(https?):)?([^:]+)(?::([^:]*))?$/
export interface ProxyRequest {
  readonly cluster: Cluster
  readonly resource: 'pods' | 'services' | 'nodes'
  /** Empty for nodes. */
  readonly namespace: string
  /** `[http:|https:]NAME[:PORT]` */
  readonly name: string
  /** What follows `/proxy`, without the query; may be empty. */
  readonly path: string
}

/** Who leads to pods and nodes. */
export interface ProxyParts {
  readonly nodes: NodeGateway
  /** Who kubelets are asked as. */
  readonly kubelets: OwnIdentity
}

/** Where a request goes. */
interface Connected {
  readonly connection: Duplex
  /** Its host and port, as its own pages may name them. */
  readonly host: string
}

interface Target {
  readonly name: string
  readonly port: string
  /** Whether it is spoken to by TLS. */
  readonly isSecure: boolean
}

function parseName(text: string): Target {
  const [, scheme, name = '', port = ''] = NAME.exec(text) ?? []
  if (name === '') throw badRequest(`invalid proxy target ${JSON.stringify(text.slice(0, 100))}`)
  return { name, port, isSecure: scheme === 'https' }
}

function portOfPod(pod: Frozen<Pod>, wanted: string): number {
  const ports = pod.spec.containers.flatMap(({ ports }) => ports ?? [])
  if (wanted === '') return ports[0]?.containerPort ?? 80
  if (/^\d{1,5}$/.test(wanted)) return Number(wanted)
  const named = ports.find(({ name }) => name === wanted)
  if (named === undefined) throw badRequest(`pod ${pod.metadata.name} has no port ${JSON.stringify(wanted)}`)
  return named.containerPort
}

function podDestination(cluster: Cluster, namespace: string, name: string, wanted: string): Destination {
  const pod = findPod(cluster, namespace, name)
  return { pod, port: portOfPod(pod, wanted) }
}

function endpointOf(cluster: Cluster, namespace: string, name: string, wanted: string): Destination {
  // There is at least one.
  return endpointsOf(cluster, namespace, name, wanted)[0] as Destination
}

async function connectToPod(
  { cluster, resource, namespace }: ProxyRequest,
  { name, port: wanted, isSecure }: Target,
  nodes: NodeGateway,
): Promise<Connected> {
  const { pod, port } =
    resource === 'services'
      ? endpointOf(cluster, namespace, name, wanted)
      : podDestination(cluster, namespace, name, wanted)
  const { nodeName = '' } = pod.spec
  if (nodeName === '') throw badRequest(`pod ${pod.metadata.name} does not have a host assigned`)
  const connection = await nodes.connectToPod(cluster.id, nodeName, {
    namespace,
    pod: pod.metadata.name,
    uid: pod.metadata.uid ?? '',
    port,
  })
  const host = `${pod.status?.podIP ?? pod.metadata.name}:${port}`
  return { connection: isSecure ? await secured(connection) : connection, host }
}

async function connectTo(request: ProxyRequest, parts: ProxyParts): Promise<Connected> {
  const target = parseName(request.name)
  if (request.resource !== 'nodes') return await connectToPod(request, target, parts.nodes)
  const { name, port } = target
  return {
    connection: await connectToNode(request.cluster, name, port, parts),
    host: `${name}:${KUBELET_PORT}`,
  }
}

/**
 * Sends a request on, and its answer back.
 *
 * @throws `NotFound`, `BadRequest`, `Forbidden`, `ServiceUnavailable`
 */
export async function answerProxy(
  incoming: IncomingMessage,
  response: ServerResponse,
  parts: ProxyParts,
  request: ProxyRequest,
): Promise<void> {
  const [uri = '', ...query] = (incoming.url ?? '').split('?')
  const search = query.length === 0 ? '' : `?${query.join('?')}`
  const { method = 'GET' } = incoming
  const { connection, host } = await connectTo(request, parts)
  if (request.path === '' && (method === 'GET' || method === 'HEAD')) {
    // Relative links of the first page would lead beside it.
    connection.destroy()
    response.writeHead(301, { location: `${uri}/${search}` }).end()
    return
  }
  response.once('close', () => connection.destroy())
  const answer = await send(incoming, connection, `${request.path || '/'}${search}`, uri)
  const prefix = uri.slice(0, uri.length - request.path.length)
  const hosts = { asked: incoming.headers.host ?? '', answering: host }
  await passOn(answer, response, { prefix, hosts })
}

async function send(
  incoming: IncomingMessage,
  connection: Duplex,
  path: string,
  uri: string,
): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
  const outgoing = httpRequest({
    method: incoming.method ?? 'GET',
    path,
    headers: { ...forwardedHeaders(incoming, uri), connection: 'close' },
    createConnection: () => connection,
    timeout: DEADLINE,
  })
  const fail = (error: unknown) => reject(unreachable(error))
  outgoing.once('response', resolve)
  outgoing.once('timeout', () => outgoing.destroy(new Error(`no answer within ${DEADLINE / 1000} s`)))
  outgoing.on('error', fail)
  connection.on('error', fail)
  pipeline(incoming, outgoing).catch(fail)
  return await promise
}
