/**
 * A small server of a part of the Kubernetes API, as aggregation expects it: `wardle.example.com/v1`, with flunders in
 * namespaces, in memory. It believes who has a certificate of the proxy's authority, and says what it was told of who asks.
 *
 * As a program it reads `TLS_CERT`, `TLS_KEY` and `PROXY_CA` (PEM), and listens on port 8443.
 */
import { createHash } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer, type Server } from 'node:https'
import { text } from 'node:stream/consumers'
import type { TLSSocket } from 'node:tls'

export const EXTENSION_GROUP = 'wardle.example.com'

export interface ExtensionServerOptions {
  readonly certificate: string
  readonly privateKey: string
  /** Whose certificates prove that it is the proxy. */
  readonly proxyAuthority: string
  /** Whether it knows aggregated discovery and OpenAPI v3; older ones do not. */
  readonly aggregated?: boolean
  readonly version?: string
}

interface Flunder {
  readonly apiVersion: string
  readonly kind: 'Flunder'
  readonly metadata: Record<string, unknown> & { readonly name: string; readonly namespace: string }
  readonly spec?: unknown
}

const VERBS = ['create', 'delete', 'get', 'list', 'watch']

export interface ExtensionServer {
  readonly server: Server
  /** Header lines of the newest request, in lower case. */
  headers(): IncomingMessage['headers']
  /** Paths that were asked for. */
  readonly asked: string[]
}

export function extensionServer(options: ExtensionServerOptions): ExtensionServer {
  const { certificate, privateKey, proxyAuthority, aggregated = true, version = 'v1' } = options
  const apiVersion = `${EXTENSION_GROUP}/${version}`
  const root = `/apis/${apiVersion}`
  const flunders = new Map<string, Flunder>()
  const watchers = new Set<ServerResponse>()
  const asked: string[] = []
  let revision = 1
  let newest: IncomingMessage['headers'] = {}

  const responseKind = { group: EXTENSION_GROUP, version, kind: 'Flunder' }
  const resource = {
    resource: 'flunders',
    responseKind,
    scope: 'Namespaced',
    singularResource: 'flunder',
    verbs: VERBS,
    shortNames: ['fl'],
  }
  const schema = {
    type: 'object',
    description: 'Flunder is what this server is for.',
    properties: {
      apiVersion: { type: 'string' },
      kind: { type: 'string' },
      metadata: { type: 'object' },
      spec: {
        type: 'object',
        properties: { reference: { type: 'string', description: 'What it refers to.' } },
      },
    },
    'x-kubernetes-group-version-kind': [responseKind],
  }
  const operation = (answer: object) => ({
    operationId: `list${version}Flunder`,
    'x-kubernetes-action': 'list',
    'x-kubernetes-group-version-kind': responseKind,
    responses: { 200: { description: 'OK', ...answer } },
  })
  const name = `com.example.wardle.${version}.Flunder`
  const secondVersion = {
    swagger: '2.0',
    info: { title: 'wardle', version: 'v0' },
    paths: {
      [`${root}/flunders`]: { get: operation({ schema: { $ref: `#/definitions/${name}` } }) },
      '/apis/other.example.com/v1/things': { get: operation({}) },
    },
    definitions: { [name]: schema, 'com.example.unused': { type: 'object' } },
  }
  const thirdVersion = {
    openapi: '3.0.0',
    info: { title: 'wardle', version: 'v0' },
    paths: {
      [`${root}/namespaces/{namespace}/flunders`]: {
        get: operation({
          content: { 'application/json': { schema: { $ref: `#/components/schemas/${name}` } } },
        }),
      },
    },
    components: { schemas: { [name]: schema } },
  }
  const hash = createHash('sha256').update(version).digest('hex')
  const index = {
    paths: { [root.slice(1)]: { serverRelativeURL: `/openapi/v3${root}?hash=${hash}` } },
  }
  const documents: Readonly<Record<string, object>> = {
    [root]: {
      kind: 'APIResourceList',
      apiVersion: 'v1',
      groupVersion: apiVersion,
      resources: [
        {
          ...{ name: 'flunders', singularName: 'flunder', namespaced: true, kind: 'Flunder' },
          ...{ verbs: VERBS, shortNames: ['fl'] },
        },
      ],
    },
    '/openapi/v2': secondVersion,
    ...(aggregated ? { '/openapi/v3': index, [`/openapi/v3${root}`]: thirdVersion } : {}),
  }

  const send = (response: ServerResponse, status: number, body: object) => {
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body))
  }
  const refuse = (response: ServerResponse, code: number, reason: string) =>
    send(response, code, {
      kind: 'Status',
      apiVersion: 'v1',
      status: 'Failure',
      reason,
      message: reason,
      code,
    })
  const tell = (type: string, object: Flunder) => {
    for (const watcher of watchers) watcher.write(`${JSON.stringify({ type, object })}\n`)
  }

  async function answerFlunders(
    request: IncomingMessage,
    response: ServerResponse,
    namespace: string,
    wanted: string,
    query: URLSearchParams,
  ): Promise<void> {
    const key = `${namespace}/${wanted}`
    if (request.method === 'POST') {
      const { metadata, spec } = JSON.parse(await text(request)) as Flunder
      revision += 1
      const made: Flunder = {
        apiVersion,
        kind: 'Flunder',
        metadata: {
          ...metadata,
          namespace,
          uid: `uid-${revision}`,
          resourceVersion: String(revision),
          creationTimestamp: new Date().toISOString().replace(/\.\d+/, ''),
          annotations: {
            'wardle.example.com/user': String(request.headers['x-remote-user']),
            'wardle.example.com/groups': String(request.headers['x-remote-group']),
          },
        },
        spec,
      }
      flunders.set(`${namespace}/${metadata.name}`, made)
      tell('ADDED', made)
      return send(response, 201, made)
    }
    if (wanted !== '') {
      const found = flunders.get(key)
      if (found === undefined) return refuse(response, 404, 'NotFound')
      if (request.method === 'DELETE') {
        flunders.delete(key)
        tell('DELETED', found)
      }
      return send(response, 200, found)
    }
    const items = [...flunders.values()].filter(
      ({ metadata }) => namespace === '' || metadata.namespace === namespace,
    )
    if (query.get('watch') !== null) {
      response.writeHead(200, { 'content-type': 'application/json' })
      response.flushHeaders()
      for (const object of items) response.write(`${JSON.stringify({ type: 'ADDED', object })}\n`)
      watchers.add(response)
      response.once('close', () => watchers.delete(response))
      return
    }
    send(response, 200, {
      kind: 'FlunderList',
      apiVersion,
      metadata: { resourceVersion: String(revision) },
      items,
    })
  }

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'https://here')
    asked.push(pathname)
    newest = request.headers
    if (!(request.socket as TLSSocket).authorized) return refuse(response, 401, 'Unauthorized')
    if (pathname === '/apis' && aggregated && /as=APIGroupDiscoveryList/.test(request.headers.accept ?? '')) {
      const versions = [{ version, resources: [resource], freshness: 'Current' }]
      return send(response, 200, {
        kind: 'APIGroupDiscoveryList',
        apiVersion: 'apidiscovery.k8s.io/v2',
        items: [{ metadata: { name: EXTENSION_GROUP }, versions }],
      })
    }
    const document = documents[pathname]
    if (document !== undefined) return send(response, 200, document)
    const [, namespace = '', wanted = ''] =
      new RegExp(`^${root}(?:/namespaces/([^/]+))?/flunders(?:/([^/]+))?$`).exec(pathname) ?? []
    if (!pathname.startsWith(root)) return refuse(response, 404, 'NotFound')
    await answerFlunders(request, response, namespace, wanted, searchParams)
  }

  const server = createServer(
    {
      cert: certificate,
      key: privateKey,
      ca: proxyAuthority,
      requestCert: true,
      rejectUnauthorized: false,
    },
    (request, response) => {
      answer(request, response).catch(() => response.destroy())
    },
  )
  return { server, headers: () => newest, asked }
}

if (import.meta.main) {
  const { TLS_CERT = '', TLS_KEY = '', PROXY_CA = '' } = process.env
  const { server } = extensionServer({ certificate: TLS_CERT, privateKey: TLS_KEY, proxyAuthority: PROXY_CA })
  server.listen(8443, '0.0.0.0')
}
