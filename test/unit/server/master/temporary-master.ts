/** A master on a real store, served over plain HTTP on a free port, for the tests of this folder. */
import { mkdtemp, rm } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { Readable } from 'node:stream'
import type { Test } from 'tap'
import { type Clock, createLogger, HttpListener } from '../../../../kit/index.ts'
import {
  type ClusterClient,
  type ContainerLogRequest,
  KubernetesMaster,
  type KubernetesMasterOptions,
  MASTERS_GROUP,
  NODES_GROUP,
} from '../../../../server/master/index.ts'
import { openStore, type StoreOptions } from '../../../../server/store/index.ts'
import { echoCommand, echoNodeApi, echoPort } from './echo-node.ts'

export const silentLog = createLogger('test', 'silent')
export const ADMIN = { user: 'admin', groups: [MASTERS_GROUP] }

export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly text: string
  /** The parsed body; undefined when it is not JSON. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into whatever came
  readonly body: any
}

export interface RequestOptions {
  readonly method?: string
  readonly body?: unknown
  readonly token?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly cluster?: string
}

export interface TemporaryMaster {
  readonly master: KubernetesMaster
  /** Makes a token of `authenticate` nobody's. */
  revoke(token: string): void
  readonly port: number
  readonly client: ClusterClient
  /** What `containerLogs` was asked. */
  readonly logRequests: ContainerLogRequest[]
  ask(path: string, options?: RequestOptions): Promise<Answer>
  stop(): Promise<void>
}

/** Where the log of a container named `endless` never ends. */
function logOf(container: string): Readable {
  const log = new Readable({ read: () => undefined })
  log.push(`line of ${container}\n`)
  if (container !== 'endless') log.push(null)
  return log
}

/** Tokens are `admin|CLUSTER`, `node|NAME|CLUSTER` and `group|NAME|CLUSTER`. */
async function authenticate(cluster: string, { bearerToken = '' }: { readonly bearerToken?: string }) {
  const [kind, ...rest] = bearerToken.split('|')
  if (rest.at(-1) !== cluster) return undefined
  if (kind === 'admin') return ADMIN
  if (kind === 'node') return { user: `system:node:${rest[0]}`, groups: [NODES_GROUP] }
  return kind === 'group' ? { user: 'component', groups: [rest[0] ?? ''] } : undefined
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

/** Sends one request and reads the whole answer. */
export function send(port: number, target: string, options: RequestOptions = {}): Promise<Answer> {
  const { method = 'GET', body, token = 'admin|c1', headers = {}, cluster = 'c1' } = options
  const payload =
    body === undefined || typeof body === 'string' || body instanceof Buffer ? body : JSON.stringify(body)
  return new Promise((resolve, reject) => {
    const outgoing = request(
      {
        host: '127.0.0.1',
        port,
        method,
        path: `/k8s/clusters/${cluster}${target}`,
        headers: {
          ...(token === '' ? {} : { authorization: `Bearer ${token}` }),
          ...(payload === undefined
            ? {}
            : { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(payload)) }),
          ...headers,
        },
      },
      response => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('error', reject)
        response.on('end', () => {
          const text = Buffer.concat(chunks).toString('utf8')
          resolve({ status: response.statusCode ?? 0, headers: response.headers, text, body: parse(text) })
        })
      },
    )
    outgoing.on('error', reject)
    outgoing.end(payload)
  })
}

/** Starts a master with the cluster `c1`; everything is gone when the test ends. */
export async function temporaryMaster(
  t: Test,
  options: {
    readonly clock?: Clock
    readonly limits?: KubernetesMasterOptions['limits']
    readonly suspendAfter?: number
    readonly store?: Partial<StoreOptions>
    readonly directory?: string
    readonly connectToPod?: KubernetesMasterOptions['nodes']['connectToPod']
    readonly connectToKubelet?: KubernetesMasterOptions['nodes']['connectToKubelet']
  } = {},
): Promise<TemporaryMaster> {
  const directory = options.directory ?? (await mkdtemp(path.join(tmpdir(), 'master-')))
  const store = await openStore({
    ...options.store,
    database: path.join(directory, 'store.db'),
    log: silentLog,
  })
  const logRequests: ContainerLogRequest[] = []
  const revoked = new Set<string>()
  const listeners = new Set<() => void>()
  const revoke = (token: string) => {
    revoked.add(token)
    for (const listener of listeners) listener()
  }
  const master = new KubernetesMaster({
    store,
    log: silentLog,
    authenticate: async (cluster, credentials) =>
      revoked.has(credentials.bearerToken ?? '') ? undefined : await authenticate(cluster, credentials),
    onRevocation: listener => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    nodes: {
      containerLogs: async (_cluster, _node, logRequest) => {
        logRequests.push(logRequest)
        return logOf(logRequest.container)
      },
      runCommand: async (_cluster, node, command) => echoCommand(node, command),
      connectToPod: options.connectToPod ?? (async (_cluster, node, { port }) => echoPort(node, port)),
      connectToNode: async (_cluster, node) => echoNodeApi(node),
      connectToKubelet:
        options.connectToKubelet ?? (() => Promise.reject(new Error('there is no kubelet on this host'))),
    },
    authority: 'certificates of the test',
    serviceAccounts: {
      secret: 'a secret of the test',
      issuer: cluster => `https://master.test/k8s/clusters/${cluster}`,
    },
    ...(options.clock === undefined ? {} : { clock: options.clock }),
    ...(options.suspendAfter === undefined ? {} : { suspendAfter: options.suspendAfter }),
    ...(options.limits === undefined ? {} : { limits: options.limits }),
  })
  await master.start()
  const listener = new HttpListener({
    name: 'test',
    host: '127.0.0.1',
    port: 0,
    onRequest: (incoming, response) => {
      const [, cluster = '', rest = '/'] = /^\/k8s\/clusters\/([^/?]+)([^?]*)/.exec(incoming.url ?? '') ?? []
      void master.handle(cluster, rest, incoming, response)
    },
    onUpgrade: (incoming, socket, head) => {
      const [, cluster = '', rest = '/'] = /^\/k8s\/clusters\/([^/?]+)([^?]*)/.exec(incoming.url ?? '') ?? []
      void master.upgrade(cluster, rest, incoming, socket, head)
    },
  })
  await listener.start()
  let stopped = false
  const stop = async () => {
    if (stopped) return
    stopped = true
    await listener.stop()
    await master.stop()
    await store.stop()
    if (options.directory === undefined) await rm(directory, { recursive: true, force: true })
  }
  t.teardown(stop)
  await master.createCluster('c1')
  const client = await master.client('c1', ADMIN)
  if (client === undefined) throw new Error('the cluster is not there')
  const { port } = listener
  return {
    master,
    port,
    client,
    logRequests,
    revoke,
    stop,
    ask: (target, request) => send(port, target, request),
  }
}

/** A small pod. */
export function pod(name: string, spec: object = {}, metadata: object = {}) {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, ...metadata },
    spec: { containers: [{ name: 'main', image: 'busybox:1' }], ...spec },
  }
}

/** A ready node with room. */
export function node(name: string, extra: { spec?: object; labels?: object; allocatable?: object } = {}) {
  return {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name, labels: { 'kubernetes.io/hostname': name, ...extra.labels } },
    spec: extra.spec ?? {},
    status: {
      allocatable: { cpu: '4', memory: '8Gi', pods: '110', ...extra.allocatable },
      capacity: { cpu: '4', memory: '8Gi', pods: '110' },
      conditions: [{ type: 'Ready', status: 'True', reason: 'KubeletReady', message: '' }],
      addresses: [{ type: 'InternalIP', address: '192.0.2.1' }],
      nodeInfo: { kubeletVersion: 'v1.36.0' },
    },
  }
}

/** Waits until `check` gives something. */
export async function eventually<T>(
  check: () => Promise<T | undefined | false>,
  what: string,
  deadline = 10_000,
): Promise<T> {
  const end = performance.now() + deadline
  for (;;) {
    const value = await check()
    if (value !== undefined && value !== false) return value
    if (performance.now() > end) throw new Error(`not within ${deadline} ms: ${what}`)
    await new Promise(resolve => setImmediate(resolve))
  }
}
