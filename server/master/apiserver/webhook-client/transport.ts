/** Sends reviews to webhooks and reads what they answer. */
import { explainError, isDroverError } from '../../../../kit/index.ts'
import type { Backend, BackendClient, ClusterView } from '../backends/index.ts'
import { hostOf } from '../backends/index.ts'
import type { Frozen, JsonObject, JsonValue } from '../json.ts'
import { isDeeperThan } from '../json.ts'
import type { WebhookClientConfig } from './client-config.ts'

/** Bytes of an answer: a patch may hold the largest object, in base64. */
const ANSWER_LIMIT = 8 * 1024 * 1024
/** Levels of an answer. */
const DEEPEST = 256
/** Characters of an answer that is told. */
const SHOWN = 200

const HEADERS = { accept: 'application/json', 'content-type': 'application/json', 'user-agent': 'drover' }

/** Where a webhook is. @throws `TypeError` for a URL that is none */
export function backendOf({ url, service, caBundle }: Frozen<WebhookClientConfig>): {
  readonly backend: Backend
  readonly path: string
} {
  const trust: Backend['trust'] =
    caBundle === undefined || caBundle === ''
      ? { type: 'public' }
      : { type: 'authority', certificates: Buffer.from(caBundle, 'base64').toString('utf8') }
  if (service !== undefined) {
    const { namespace, name, path = '', port = 443 } = service
    const address = { type: 'service', namespace, name, port } as const
    return { backend: { address, trust }, path: path.startsWith('/') ? path : `/${path}` }
  }
  const parsed = new URL(url ?? '')
  return { backend: { address: { type: 'url', url: parsed }, trust }, path: parsed.pathname }
}

function reasonOf(error: unknown): string {
  if (isDroverError(error, 'DeadlineExceeded')) return 'context deadline exceeded'
  return error instanceof Error ? error.message : explainError(error)
}

function refusalOf(status: number, body: Buffer): string {
  if (status === 404) return 'the server could not find the requested resource'
  const text = body.toString('utf8').slice(0, SHOWN).trim()
  return `an error on the server (${JSON.stringify(text === '' ? 'unknown' : text)}) has prevented the request from succeeding`
}

export interface Posting {
  readonly cluster: ClusterView
  readonly clientConfig: Frozen<WebhookClientConfig>
  readonly review: JsonObject
  /** As the webhook is told. */
  readonly timeoutSeconds: number
  /** Milliseconds. */
  readonly deadline: number
}

/**
 * Posts a review, and gives what comes back.
 *
 * @throws `Error` whose message says why nothing came back, worded as Kubernetes does
 */
export async function postReview(
  client: BackendClient,
  { cluster, clientConfig, review, timeoutSeconds, deadline }: Posting,
): Promise<JsonValue> {
  const { backend, path } = backendOf(clientConfig)
  const target = `${path}?timeout=${timeoutSeconds}s`
  let answer: Awaited<ReturnType<BackendClient['exchange']>>
  try {
    answer = await client.exchange(cluster, backend, {
      method: 'POST',
      path: target,
      headers: HEADERS,
      body: JSON.stringify(review),
      deadline,
      answerLimit: ANSWER_LIMIT,
    })
  } catch (cause) {
    throw new Error(`Post "https://${hostOf(backend)}${target}": ${reasonOf(cause)}`, { cause })
  }
  if (answer.status < 200 || answer.status > 299) throw new Error(refusalOf(answer.status, answer.body))
  const value: JsonValue = JSON.parse(answer.body.toString('utf8'))
  if (isDeeperThan(value, DEEPEST)) throw new Error(`the answer is nested more than ${DEEPEST} levels deep`)
  return value
}
