/**
 * `pods/NAME:PORT/proxy/…`, `services/NAME:PORT/proxy/…` and `nodes/NAME/proxy/…`: HTTP to what runs in pods and to what nodes
 * answer about themselves, through their hosts' agents and never by an address.
 */
import { request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { connect as connectTls } from 'node:tls'
import { atMost, explainError } from '../../../../kit/index.ts'
import { type Destination, endpointsOf, findPod } from '../backends/index.ts'
import type { Cluster } from '../cluster/index.ts'
import type { Frozen } from '../json.ts'
import type { NodeGateway } from '../nodes.ts'
import type { Pod } from '../objects.ts'
import { badRequest, notFound, StatusError } from '../status.ts'

/** Milliseconds until a pod has to begin its answer. */
const DEADLINE = 60_000
/** Milliseconds for the handshake with a pod that speaks TLS. */
const HANDSHAKE_DEADLINE = 10_000
const NAME = /^(?:(https?):)?([^:]+)(?::([^:]*))?$/
/** Of one connection only (RFC 9110, 7.6.1), and what proves who somebody is to the API: no pod may have that. */
const NOT_FORWARDED =
  /^(connection|keep-alive|proxy-.*|te|trailer|transfer-encoding|upgrade|authorization|cookie|impersonate-.*)$/

export interface ProxyRequest {
  readonly cluster: Cluster
  readonly resource: 'pods' | 'services' | 'nodes'
  /** Empty for nodes. */
  readonly namespace: string
  /** `[http:|https:]NAME[:PORT]` */
  readonly name: string
  /** What follows `/proxy`, with the query. */
  readonly path: string
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

function forwardedHeaders(request: IncomingMessage): Record<string, string | string[]> {
  const headers: Record<string, string | string[]> = {}
  for (const [name, value] of Object.entries(request.headers)) {
    if (value !== undefined && !NOT_FORWARDED.test(name)) headers[name] = value
  }
  return headers
}

/** Where kubelets answer. */
const KUBELET_PORT = '10250'

/** A connection to what a node answers about itself; nothing else of its host is reached. */
async function connectToNode({ cluster, name: text }: ProxyRequest, nodes: NodeGateway): Promise<Duplex> {
  const [, , name = '', port = ''] = NAME.exec(text) ?? []
  if (name === '') throw badRequest(`invalid proxy target ${JSON.stringify(text.slice(0, 100))}`)
  if (cluster.find('nodes', '', name) === undefined) throw notFound({ group: '', resource: 'nodes' }, name)
  if (port !== '' && port !== KUBELET_PORT) {
    throw new StatusError(
      'Forbidden',
      `only port ${KUBELET_PORT} of a node can be reached, not ${port.slice(0, 20)}`,
    )
  }
  return await nodes.connectToNode(cluster.id, name)
}

async function connectToPod(
  { cluster, resource, namespace, name: text }: ProxyRequest,
  nodes: NodeGateway,
): Promise<Duplex> {
  const { name, port: wanted, isSecure } = parseName(text)
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
  return isSecure ? await secured(connection) : connection
}

/** Whose certificate it is does not matter: the connection leads into this pod, and nobody can say what it should bear. */
async function secured(connection: Duplex): Promise<Duplex> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const socket = connectTls({ socket: connection, rejectUnauthorized: false }, resolve)
  socket.on('error', reject)
  socket.once('close', () => connection.destroy())
  try {
    await atMost(HANDSHAKE_DEADLINE, 'TLS handshake with the pod', promise)
    return socket
  } catch (error) {
    socket.destroy()
    throw unreachable(error)
  }
}

function unreachable(error: unknown): StatusError {
  return new StatusError('ServiceUnavailable', `error trying to reach service: ${explainError(error)}`)
}

/**
 * Sends a request on, and its answer back.
 *
 * @throws `NotFound`, `BadRequest`, `Forbidden`, `ServiceUnavailable`
 */
export async function answerProxy(
  incoming: IncomingMessage,
  response: ServerResponse,
  nodes: NodeGateway,
  request: ProxyRequest,
): Promise<void> {
  const connection =
    request.resource === 'nodes' ? await connectToNode(request, nodes) : await connectToPod(request, nodes)
  response.once('close', () => connection.destroy())
  const answer = await send(incoming, connection, request.path)
  const headers = Object.entries(answer.headers).filter(([header]) => !NOT_FORWARDED.test(header))
  response.writeHead(answer.statusCode ?? 502, Object.fromEntries(headers))
  await pipeline(answer, response)
}

async function send(incoming: IncomingMessage, connection: Duplex, path: string): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
  const outgoing = httpRequest({
    method: incoming.method ?? 'GET',
    path,
    headers: { ...forwardedHeaders(incoming), connection: 'close' },
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
