/** Agents of a cluster as a server sees them: real connections, real messages, and nothing behind them. */
import { gunzipSync } from 'node:zlib'
import { WebSocket } from 'ws'
import type {
  ContainerReport,
  MetadataDelta,
  MetadataPosition,
  RegistrationAnswer,
} from '../../../protocol/index.ts'

/** What a metadata message says of itself, whoever it is for. */
interface Envelope {
  readonly metadata: boolean
  readonly full: boolean
  readonly last: boolean
  readonly generation: string
  readonly sequence: number
  readonly text: string
}

/** The same message goes to all agents: it is read once. */
const envelopes = new Map<string, Envelope>()

function readEnvelope(data: Buffer, binary: boolean): Envelope {
  const key = `${data.length} ${data.toString('latin1', 14, 60)} ${data.toString('latin1', data.length - 24)}`
  const known = envelopes.get(key)
  if (known !== undefined) return known
  const text = (binary ? gunzipSync(data.subarray(4)) : data).toString('utf8')
  const head = text.slice(0, 400)
  const field = (name: string) => new RegExp(`"${name}":"?([^",}]+)`).exec(head)?.[1] ?? ''
  const envelope = {
    metadata: text.startsWith('{"type":"metadata"'),
    full: field('full') === 'true',
    last: field('more') !== 'true',
    generation: field('generation'),
    sequence: Number(field('sequence')),
    text,
  }
  if (envelopes.size > 64) envelopes.delete(envelopes.keys().next().value ?? '')
  envelopes.set(key, envelope)
  return envelope
}

export function report(host: number, index: number, startCount: number): ContainerReport {
  const name = `container-${host}-${index}`
  return {
    identity: name,
    externalId: `${host}.${index}`.padEnd(64, '0'),
    name,
    image: 'drover/busybox:1',
    state: 'running',
    // Another start, another time: that is how a server tells one.
    startedAt: new Date(Date.UTC(2026, 0, 1) + startCount * 1_000).toISOString(),
    createdAt: '2026-01-01T00:00:00Z',
    hostname: name,
    command: ['sleep', '1000'],
    labels: { 'io.rancher.container.name': name, 'io.rancher.project.name': 'Default', tier: 'front' },
    networkMode: 'bridge',
    primaryIp: `10.42.${host % 256}.${index + 2}`,
    ports: [],
    hidden: false,
    startCount,
  }
}

export class SimulatedAgent {
  readonly number: number
  position: MetadataPosition | undefined
  bytes = 0
  /** Full synchronisations that were begun, and when. */
  readonly fulls: number[] = []
  /** Sequence and time of every step. */
  readonly steps: [number, number][] = []
  /** Called with each delta by the one agent that reads them. */
  onDelta: ((delta: MetadataDelta) => void) | undefined
  readonly #member: RegistrationAnswer
  #socket: WebSocket | undefined

  constructor(number: number, member: RegistrationAnswer) {
    this.number = number
    this.#member = member
  }

  /** Resolves when the server has welcomed it. */
  async connect(url: string, authority: string): Promise<void> {
    const { accessKey, secretKey } = this.#member
    const socket = new WebSocket(new URL('/v3/connect', url.replace(/^http/, 'ws')), {
      ca: authority,
      perMessageDeflate: false,
      headers: { authorization: `Basic ${Buffer.from(`${accessKey}:${secretKey}`).toString('base64')}` },
    })
    this.#socket = socket
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    socket.on('error', reject)
    socket.on('close', (code, reason) => reject(new Error(`closed: ${code} ${reason}`)))
    socket.on('message', (data: Buffer, binary: boolean) => {
      this.bytes += data.length
      if (!binary && data.length < 4096 && data.toString('latin1', 0, 20) === '{"type":"welcome","h')
        resolve()
      else this.#receive(readEnvelope(data, binary))
    })
    socket.on('open', () => this.#send(this.#hello()))
    await promise
  }

  disconnect(): void {
    this.#socket?.removeAllListeners('close')
    this.#socket?.terminate()
  }

  reportAll(containers: number): void {
    const changed = Array.from({ length: containers }, (_, index) => report(this.number, index, 1))
    this.#send({ type: 'containers', full: true, changed, removed: [], problems: [] })
  }

  reportChange(index: number, startCount: number): void {
    const changed = [report(this.number, index, startCount)]
    this.#send({ type: 'containers', full: false, changed, removed: [], problems: [] })
  }

  #hello(): unknown {
    return {
      type: 'hello',
      version: 1,
      session: String(this.number),
      host: {
        hostname: `node-${this.number}`,
        address: `192.0.2.${this.number % 250}`,
        labels: {},
        memory: 4e9,
        milliCpu: 2000,
        localStorageMb: 10_000,
        kernelVersion: '6',
        operatingSystem: 'Linux',
        dockerVersion: '20.10',
        agentVersion: '0.1.0',
        bootId: String(this.number),
      },
      ...(this.position === undefined ? {} : { metadata: this.position }),
    }
  }

  #send(message: unknown): void {
    this.#socket?.send(JSON.stringify(message))
  }

  #receive({ metadata, full, last, generation, sequence, text }: Envelope): void {
    if (!metadata) return
    const now = performance.now()
    if (full && /"part":0[,}]/.test(text.slice(0, 400))) this.fulls.push(now)
    if (last) this.position = { generation, sequence }
    if (!full && last) this.steps.push([sequence, now])
    this.onDelta?.((JSON.parse(text) as { delta: MetadataDelta }).delta)
  }
}
