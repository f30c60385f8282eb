/** What a server tells of itself: version, discovery and OpenAPI documents. Made on first use, per catalog. */
import { createHash } from 'node:crypto'
import type { Catalog } from '../catalog/index.ts'
import { type DiscoveryDocuments, discoveryDocuments } from '../discovery/index.ts'
import { openApiV2, openApiV2Protobuf, openApiV3, openApiV3Index } from '../openapi/index.ts'
import { negotiate, parseAccept } from '../presentation/index.ts'
import { pathNotFound } from '../status.ts'
import type { Answer } from './answer.ts'
import type { OthersDocuments } from './others-documents.ts'

const AGGREGATED_TYPE = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList'

const PROTOBUF_TYPE = 'application/com.github.proto-openapi.spec.v2.v1.0+protobuf'
/** Clients ask for it also by a name that is no media type. */
const PROTOBUF_TYPES = [PROTOBUF_TYPE, 'application/com.github.proto-openapi.spec.v2@v1.0+protobuf']

interface Published {
  readonly discovery: DiscoveryDocuments
  v2: string | undefined
  /** What the base does not have. */
  v2Protobuf: Buffer | undefined
  v3: ReadonlyMap<string, string> | undefined
}

const published = new WeakMap<Catalog, Published>()

/** One document of two parts: see `openapi/second-version-protobuf.ts`. */
function secondVersionProtobuf(catalog: Catalog): Buffer {
  const documents = publishedBy(catalog)
  documents.v2Protobuf ??= openApiV2Protobuf(catalog, catalog.ownGroupVersions())
  const own = documents.v2Protobuf
  return catalog.base === undefined ? own : Buffer.concat([secondVersionProtobuf(catalog.base), own])
}

/** Megabytes, which hardly anybody asks for: only what all clusters share is kept. */
function secondVersion(catalog: Catalog): string {
  const documents = publishedBy(catalog)
  const document = documents.v2 ?? openApiV2(catalog)
  if (catalog.base === undefined) documents.v2 = document
  return document
}

/** What all clusters share is made once for all of them. */
function thirdVersion(catalog: Catalog): ReadonlyMap<string, string> {
  const documents = publishedBy(catalog)
  if (documents.v3 === undefined) {
    const shared = catalog.base === undefined ? [] : thirdVersion(catalog.base)
    const all = new Map([...shared, ...openApiV3(catalog, catalog.ownGroupVersions())])
    all.delete('')
    documents.v3 = all.set('', openApiV3Index(all))
  }
  return documents.v3
}

function publishedBy(catalog: Catalog): Published {
  let documents = published.get(catalog)
  if (documents === undefined) {
    documents = {
      discovery: discoveryDocuments(catalog),
      v2: undefined,
      v2Protobuf: undefined,
      v3: undefined,
    }
    published.set(catalog, documents)
  }
  return documents
}

/** The first known form of discovery in an Accept header. */
function wantsAggregated(accept: string | undefined): boolean {
  for (const { type, parameters } of parseAccept(accept ?? '')) {
    if (type !== 'application/json') continue
    if (!parameters.has('as')) return false
    const { g, v, as } = Object.fromEntries(parameters)
    if (g === 'apidiscovery.k8s.io' && v === 'v2' && as === 'APIGroupDiscoveryList') return true
  }
  return false
}

async function sendCacheable(answer: Answer, body: string, contentType?: string): Promise<void> {
  const tag = `"${createHash('sha256').update(body).digest('hex').toUpperCase()}"`
  const { request, response } = answer
  response.setHeader('etag', tag)
  response.setHeader('vary', 'Accept')
  if (request.headers['if-none-match'] === tag) {
    response.writeHead(304)
    response.end()
    return
  }
  await answer.send(200, body, contentType)
}

/** Whose documents are told. */
export interface PublishedParts {
  readonly catalog: Catalog
  /** What others serve; undefined where nobody does. */
  readonly others: OthersDocuments | undefined
}

/** @throws `NotFound` */
export async function answerDiscovery(
  answer: Answer,
  { catalog, others }: PublishedParts,
  path: readonly string[],
): Promise<void> {
  const { legacy, aggregated } = publishedBy(catalog).discovery
  const name = path.join('/')
  const whole = wantsAggregated(answer.request.headers.accept) ? aggregated.get(name) : undefined
  if (whole !== undefined) {
    const all = (await others?.discovery(name, whole, true)) ?? whole
    await sendCacheable(answer, all, AGGREGATED_TYPE)
    return
  }
  const own = legacy.get(name)
  const document = others === undefined ? own : await others.discovery(name, own, false)
  if (document === undefined) throw pathNotFound()
  await sendCacheable(answer, document)
}

/** Beside what discovery knows. */
const OTHER_PATHS = [
  ...['/.well-known/openid-configuration', '/healthz', '/livez', '/metrics', '/openapi/v2', '/openapi/v3'],
  ...['/openid/v1/jwks', '/readyz', '/version'],
]

/** `GET /`: the paths that there are. */
export async function answerIndex(answer: Answer, catalog: Catalog): Promise<void> {
  const known = [...publishedBy(catalog).discovery.legacy.keys()].map(path => `/${path}`)
  await answer.send(200, JSON.stringify({ paths: [...known, ...OTHER_PATHS].toSorted() }))
}

/** @throws `NotFound`, `NotAcceptable` */
export async function answerOpenApi(
  answer: Answer,
  { catalog, others }: PublishedParts,
  path: readonly string[],
): Promise<void> {
  const [version, ...rest] = path
  if (version === 'v2' && rest.length === 0) {
    const { accept = '' } = answer.request.headers
    if (PROTOBUF_TYPES.some(type => accept.includes(type))) {
      const own = secondVersionProtobuf(catalog)
      const more = await others?.secondVersionProtobuf(secondVersion(catalog))
      await answer.sendBytes(200, more === undefined ? own : Buffer.concat([own, more]), PROTOBUF_TYPE)
      return
    }
    // Some clients only read another form, and would take JSON for a broken one.
    negotiate(accept, null)
    const own = secondVersion(catalog)
    await sendCacheable(answer, (await others?.secondVersion(own)) ?? own)
    return
  }
  if (version !== 'v3') throw pathNotFound()
  const name = rest.join('/')
  const own = thirdVersion(catalog).get(name)
  const document =
    name === '' && own !== undefined
      ? ((await others?.thirdVersionIndex(own)) ?? own)
      : ((await others?.thirdVersion(name)) ?? own)
  if (document === undefined) throw pathNotFound()
  await sendCacheable(answer, document)
}

/** `GET /version` */
export function versionDocument(version: string): string {
  const [major, minor] = version.split('.')
  return JSON.stringify({
    major,
    minor,
    gitVersion: `v${version}.0+drover`,
    gitCommit: '',
    gitTreeState: 'clean',
    buildDate: '1970-01-01T00:00:00Z',
    goVersion: '',
    compiler: '',
    platform: `linux/${process.arch === 'x64' ? 'amd64' : process.arch}`,
  })
}
