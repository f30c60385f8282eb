/** Tokens of service accounts for pods: asked for, kept in memory, renewed before they expire. */
import { explainError, type Logger, Type, validatorOf } from '../../kit/index.ts'
import type { KubernetesClient, Pod } from '../../protocol/kubernetes/index.ts'
import { tokenKey } from './volume-content.ts'

interface Token {
  readonly text: string
  /** Unix milliseconds from which it should be another one. */
  readonly renewAt: number
  /** Unix milliseconds. */
  readonly expires: number
}

const answerSchema = validatorOf(
  Type.Object({
    status: Type.Object({
      token: Type.String({ maxLength: 65_536 }),
      expirationTimestamp: Type.String({ maxLength: 64 }),
    }),
  }),
)

const DEFAULT_LIFETIME = 3_600

/** A token is renewed when so much of its life is over, or after a day (as the kubelet does). */
const USED = 0.8
const LONGEST_USE = 24 * 3_600_000

export class AccountTokens {
  readonly #client: Pick<KubernetesClient, 'create'>
  readonly #log: Logger
  /** By pod, then by what is asked for. */
  readonly #tokens = new Map<string, Map<string, Token>>()

  constructor(client: Pick<KubernetesClient, 'create'>, log: Logger) {
    this.#client = client
    this.#log = log
  }

  /**
   * The tokens that the pod's volumes ask for. One that cannot be renewed stays as long as it is valid.
   *
   * @throws what the server says, when there is none
   */
  async of(pod: Pod): Promise<ReadonlyMap<string, string>> {
    const { uid = '' } = pod.metadata
    const wanted = (pod.spec.volumes ?? []).flatMap(({ projected }) =>
      (projected?.sources ?? []).flatMap(({ serviceAccountToken }) => serviceAccountToken ?? []),
    )
    if (wanted.length === 0) return new Map()
    const known = this.#tokens.get(uid) ?? new Map<string, Token>()
    this.#tokens.set(uid, known)
    for (const { audience, expirationSeconds } of wanted) {
      const key = tokenKey(audience, expirationSeconds)
      const before = known.get(key)
      if (before !== undefined && Date.now() < before.renewAt) continue
      try {
        known.set(key, await this.#request(pod, audience, expirationSeconds ?? DEFAULT_LIFETIME))
      } catch (error) {
        if (before === undefined || Date.now() >= before.expires) throw error
        this.#log.warn(
          { pod: pod.metadata.name, reason: explainError(error) },
          'the token of a pod was not renewed; it is tried again',
        )
      }
    }
    return new Map([...known].map(([key, { text }]) => [key, text]))
  }

  forget(uid: string): void {
    this.#tokens.delete(uid)
  }

  async #request(pod: Pod, audience: string | undefined, expirationSeconds: number): Promise<Token> {
    const { namespace = '', name, uid } = pod.metadata
    const account = pod.spec.serviceAccountName || 'default'
    const answer = await this.#client.create(
      `/api/v1/namespaces/${encodeURIComponent(namespace)}/serviceaccounts/${encodeURIComponent(account)}/token`,
      {
        apiVersion: 'authentication.k8s.io/v1',
        kind: 'TokenRequest',
        spec: {
          ...(audience === undefined || audience === '' ? {} : { audiences: [audience] }),
          expirationSeconds,
          boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name, uid },
        },
      },
    )
    const { token, expirationTimestamp } = answerSchema.parse(answer, 'TokenRequest').status
    const expires = Date.parse(expirationTimestamp)
    const life = expires - Date.now()
    return { text: token, expires, renewAt: Date.now() + Math.min(life * USED, LONGEST_USE) }
  }
}
