/** What probes and lifecycle hooks do: a command in the container, a request, a connection, a question over gRPC. */
import { request as httpsRequest } from 'node:https'
import { createConnection } from 'node:net'
import { explainError, httpRequest, sleep, withDeadline } from '../../kit/index.ts'
import type {
  Container,
  HttpGetAction,
  LifecycleHandler,
  Probe,
  TcpSocketAction,
} from '../../protocol/kubernetes/index.ts'
import type { DockerEngine } from '../docker/index.ts'
import { runtimeErrors } from './errors.ts'

export interface HandlerTarget {
  readonly container: Container
  readonly dockerId: string
  readonly podIp: string
}

export interface Outcome {
  readonly successful: boolean
  /** Why not, in the words that people know from Kubernetes. */
  readonly message: string
}

/** Most bytes of what a command says that are kept for a message. */
const KEPT_OUTPUT = 1_024

/** Milliseconds between two looks at a command whose output has ended. */
const LOOK_INTERVAL = 50

const SUCCESS: Outcome = { successful: true, message: '' }

/** A port by its number or by the name that the container gives it. */
function portOf(port: number | string, { container }: HandlerTarget): number {
  const named = container.ports?.find(({ name }) => name === port)?.containerPort
  const number = named ?? Number(port)
  if (Number.isInteger(number) && number > 0 && number < 65_536) return number
  throw runtimeErrors.InvalidPod({ object: `container ${container.name}`, message: `has no port ${port}` })
}

async function runInside(
  engine: Pick<DockerEngine, 'exec'>,
  command: readonly string[],
  { dockerId }: HandlerTarget,
  signal: AbortSignal,
): Promise<Outcome> {
  const { stream, exitCode, isRunning } = await engine.exec(dockerId, command, { tty: false, stdin: false })
  const stop = () => stream.destroy()
  signal.addEventListener('abort', stop, { once: true })
  let said = ''
  try {
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      // Eight bytes before each piece say whose it is.
      if (said.length < KEPT_OUTPUT) said += chunk.subarray(8).toString('utf8')
    }
  } finally {
    signal.removeEventListener('abort', stop)
  }
  // It may have closed its output, or Docker lost it, before it has ended.
  while (await isRunning()) await sleep(LOOK_INTERVAL, signal)
  signal.throwIfAborted()
  const code = await exitCode()
  return code === 0
    ? SUCCESS
    : { successful: false, message: said.slice(0, KEPT_OUTPUT) || `exit code ${code}` }
}

function fetchFrom(action: HttpGetAction, target: HandlerTarget, signal: AbortSignal): Promise<Outcome> {
  const { path = '/', host, scheme = 'HTTP', httpHeaders = [] } = action
  const headers: Record<string, string> = {
    'user-agent': 'kube-probe/1.36',
    accept: '*/*',
    connection: 'close',
  }
  for (const { name, value } of httpHeaders) headers[name.toLowerCase()] = value
  const options = {
    host: host || target.podIp,
    port: portOf(action.port, target),
    path: path.startsWith('/') ? path : `/${path}`,
    headers,
    agent: false as const,
    signal,
  }
  const { promise, resolve, reject } = Promise.withResolvers<Outcome>()
  // Who asks knows the address, not a name: there is nothing that a certificate could prove.
  const sent =
    scheme === 'HTTPS' ? httpsRequest({ ...options, rejectUnauthorized: false }) : httpRequest(options)
  sent.once('response', answer => {
    answer.resume()
    const { statusCode = 0 } = answer
    resolve(
      statusCode >= 200 && statusCode < 400
        ? SUCCESS
        : { successful: false, message: `HTTP probe failed with statuscode: ${statusCode}` },
    )
  })
  sent.on('error', reject)
  sent.end()
  return promise
}

function connectTo(
  { host, port }: TcpSocketAction,
  target: HandlerTarget,
  signal: AbortSignal,
): Promise<Outcome> {
  const { promise, resolve, reject } = Promise.withResolvers<Outcome>()
  const socket = createConnection({ host: host || target.podIp, port: portOf(port, target) })
  const stop = () => socket.destroy(signal.reason)
  signal.addEventListener('abort', stop, { once: true })
  socket.once('connect', () => {
    socket.destroy()
    resolve(SUCCESS)
  })
  socket.once('error', reject)
  socket.once('close', () => signal.removeEventListener('abort', stop))
  return promise
}

/** `HealthCheckRequest { string service = 1 }` in a message of gRPC. */
function healthRequest(service: string): Buffer {
  const name = Buffer.from(service)
  const body = name.length === 0 ? Buffer.alloc(0) : Buffer.concat([Buffer.from([0x0a, name.length]), name])
  const head = Buffer.alloc(5)
  head.writeUInt32BE(body.length, 1)
  return Buffer.concat([head, body])
}

/** `HealthCheckResponse { ServingStatus status = 1 }`, SERVING is 1 (grpc.health.v1). */
function isServing(answer: Buffer): boolean {
  return answer.length >= 7 && answer[5] === 0x08 && answer[6] === 1
}

function askHealth(
  { port, service = '' }: NonNullable<Probe['grpc']>,
  { podIp }: HandlerTarget,
  signal: AbortSignal,
): Promise<Outcome> {
  const { promise, resolve, reject } = Promise.withResolvers<Outcome>()
  // Loaded by those who use it: it is large, and few do.
  const session = process.getBuiltinModule('node:http2').connect(`http://${podIp}:${port}`)
  const stop = () => session.destroy()
  signal.addEventListener('abort', stop, { once: true })
  session.once('error', reject)
  const stream = session.request({
    ':method': 'POST',
    ':path': '/grpc.health.v1.Health/Check',
    'content-type': 'application/grpc',
    te: 'trailers',
    'user-agent': 'kube-probe/1.36',
  })
  const chunks: Buffer[] = []
  stream.on('data', (chunk: Buffer) => {
    if (chunks.length < 16) chunks.push(chunk)
  })
  stream.once('error', reject)
  stream.once('end', () =>
    resolve(isServing(Buffer.concat(chunks)) ? SUCCESS : { successful: false, message: 'service unhealthy' }),
  )
  stream.end(healthRequest(service.slice(0, 127)))
  return promise.finally(() => {
    signal.removeEventListener('abort', stop)
    session.destroy()
  })
}

async function act(
  engine: Pick<DockerEngine, 'exec'>,
  action: Probe & LifecycleHandler,
  target: HandlerTarget,
  signal: AbortSignal,
): Promise<Outcome> {
  const { exec, httpGet, tcpSocket, grpc, sleep: pause } = action
  if (exec !== undefined) return await runInside(engine, exec.command ?? [], target, signal)
  if (httpGet !== undefined) return await fetchFrom(httpGet, target, signal)
  if (tcpSocket !== undefined) return await connectTo(tcpSocket, target, signal)
  if (grpc !== undefined) return await askHealth(grpc, target, signal)
  if (pause !== undefined) await sleep(pause.seconds * 1000, signal)
  return SUCCESS
}

/** Does what a probe or a hook says; what goes wrong is an outcome, too. */
export async function perform(
  engine: Pick<DockerEngine, 'exec'>,
  action: Probe & LifecycleHandler,
  target: HandlerTarget,
  milliseconds: number,
  signal?: AbortSignal,
): Promise<Outcome> {
  try {
    return await withDeadline(
      // Timers take whole numbers only; what is left of a time is none.
      Math.max(1, Math.ceil(milliseconds)),
      `a probe or hook of container ${target.container.name}`,
      inner => act(engine, action, target, inner),
      signal,
    )
  } catch (error) {
    return { successful: false, message: explainError(error) }
  }
}
