/** The server under measurement, and many clients of it. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import { Pool } from 'undici'
import type { Answer, Order } from './server-process.ts'

/** Clients that wait for their answers side by side, as design's budgets have it. */
export const CLIENTS = 64

export interface ApiRequest {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'DELETE'
  /** Inside of the cluster. */
  readonly path: string
  readonly body?: unknown
  readonly type?: string
}

export class ApiUnderMeasurement {
  readonly #process: ChildProcess
  readonly pool: Pool
  readonly origin: string
  readonly authority: string

  private constructor(child: ChildProcess, pool: Pool, origin: string, authority: string) {
    this.#process = child
    this.pool = pool
    this.origin = origin
    this.authority = authority
  }

  /**
   * @param database as `openStore` takes it
   * @param suspendAfter milliseconds of quiet before a cluster leaves memory; never unless it is said
   */
  static async start(database: string, suspendAfter?: number): Promise<ApiUnderMeasurement> {
    const more = suspendAfter === undefined ? [] : [String(suspendAfter)]
    const child = fork(path.join(import.meta.dirname, 'server-process.ts'), [database, ...more], {
      execArgv: ['--disable-warning=ExperimentalWarning', '--expose-gc'],
    })
    const [{ authority = '', port }] = (await once(child, 'message')) as [Answer]
    const origin = `https://127.0.0.1:${port}`
    const pool = new Pool(origin, {
      connections: CLIENTS,
      connect: { ca: authority },
      pipelining: 1,
    })
    return new ApiUnderMeasurement(child, pool, origin, authority)
  }

  async order(order: Order): Promise<Answer> {
    this.#process.send(order)
    const [answer] = (await once(this.#process, 'message')) as [Answer]
    return answer
  }

  /** @returns the status @throws Error for one above 299 */
  async ask(
    { method, path: place, body, type = 'application/json' }: ApiRequest,
    cluster = 'c1',
  ): Promise<string> {
    const answer = await this.pool.request({
      method,
      path: `/k8s/clusters/${cluster}${place}`,
      headers: {
        authorization: 'Bearer bench',
        'user-agent': 'bench/1',
        ...(body === undefined ? {} : { 'content-type': type }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const text = await answer.body.text()
    if (answer.statusCode > 299)
      throw new Error(`${method} ${place}: ${answer.statusCode} ${text.slice(0, 300)}`)
    return text
  }

  async stop(): Promise<void> {
    await this.pool.destroy()
    const gone = once(this.#process, 'exit')
    this.#process.disconnect()
    await gone
  }
}

/** Requests per second of `clients` that each wait for an answer before they ask again. */
export async function rateOf(
  milliseconds: number,
  clients: number,
  one: (client: number, count: number) => Promise<unknown>,
): Promise<number> {
  const begin = performance.now()
  let done = 0
  await Promise.all(
    Array.from({ length: clients }, async (_, client) => {
      for (let count = 0; performance.now() - begin < milliseconds; count += 1) {
        await one(client, count)
        done += 1
      }
    }),
  )
  return (done / (performance.now() - begin)) * 1000
}

export const NAMESPACE = '/api/v1/namespaces/default'

/** About 1 KiB, as what etcd is asked to keep. */
export function configMap(name: string) {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data: { text: 'x'.repeat(850) } }
}

export function pod(name: string) {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, labels: { app: 'bench', tier: 'front' } },
    spec: {
      containers: [
        {
          name: 'main',
          image: 'busybox:1',
          env: [
            { name: 'A', value: 'b' },
            { name: 'C', value: 'd' },
          ],
          ports: [{ containerPort: 80 }],
          resources: { requests: { cpu: '100m', memory: '64Mi' } },
        },
      ],
    },
  }
}
