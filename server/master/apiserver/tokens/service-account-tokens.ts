/**
 * Tokens of service accounts: JSON Web Tokens (RFC 7519) that a cluster signs, and that are good as long as what they
 * are bound to is there.
 */
import { randomUUID } from 'node:crypto'
import { errors, jwtVerify, SignJWT } from 'jose'
import type { Clock } from '../../../../kit/index.ts'
import type { ObjectKey } from '../../../store/index.ts'
import {
  type AccessView,
  type Identity,
  type ServiceAccountName,
  serviceAccountGroups,
  serviceAccountUser,
} from '../access/index.ts'
import { type BoundKind, type BoundObject, type Claims, claims } from './claims.ts'
import type { SigningKeys } from './signing-keys.ts'

/** The audience of tokens that are meant for the API itself. */
export const API_AUDIENCE = 'https://kubernetes.default.svc.cluster.local'
const ALGORITHM = 'ES256'
/** Checked tokens that are remembered, so that a signature is verified once and not with every request. */
const MOST_REMEMBERED = 8192
/** Milliseconds for which a pod that is being deleted still proves something: it may be saying goodbye. */
const LEEWAY = 60_000

export interface TokenContents {
  readonly account: ServiceAccountName & { readonly uid: string }
  readonly audiences: readonly string[]
  /** Seconds since 1970, from when on it is valid. */
  readonly issued: number
  /** The same; undefined for a token that ends only with what it is bound to. */
  readonly expires: number | undefined
  readonly bound: ReadonlyMap<BoundKind, BoundObject>
}

/** Whom a token belongs to, and whom it was made for. */
export interface TokenOwner {
  readonly identity: Identity
  readonly audiences: readonly string[]
}

export interface ServiceAccountTokensOptions {
  readonly keys: SigningKeys
  /** The URL of a cluster's API, where the documents of the issuer are. */
  readonly issuer: (cluster: string) => string
  readonly clock: Clock
}

/** What a token may be bound to, and where that is kept. */
const BOUND_KINDS: readonly (readonly [BoundKind, string])[] = [
  ['pod', 'pods'],
  ['secret', 'secrets'],
  ['node', 'nodes'],
]

export class ServiceAccountTokens {
  readonly #options: ServiceAccountTokensOptions
  readonly #remembered = new Map<string, Claims>()

  constructor(options: ServiceAccountTokensOptions) {
    this.#options = options
  }

  /** Signs a token. */
  async issue(cluster: string, contents: TokenContents): Promise<string> {
    const { keys, issuer } = this.#options
    const { account, audiences, issued, expires, bound } = contents
    const key = keys.of(cluster)
    const { namespace, name, uid } = account
    const token = new SignJWT({
      'kubernetes.io': { namespace, serviceaccount: { name, uid }, ...Object.fromEntries(bound) },
    })
      .setProtectedHeader({ alg: ALGORITHM, kid: key.id })
      .setIssuer(issuer(cluster))
      .setSubject(serviceAccountUser(account))
      .setAudience([...audiences])
      .setIssuedAt(issued)
      .setNotBefore(issued)
      .setJti(randomUUID())
    return await (expires === undefined ? token : token.setExpirationTime(expires)).sign(key.privateKey)
  }

  /**
   * What a token says, when this cluster signed it and its time is not over; undefined otherwise.
   *
   * Whether what it is bound to is still there is another question: `ownerOf`.
   */
  async read(cluster: string, token: string): Promise<Claims | undefined> {
    if (token.split('.').length !== 3) return undefined
    const { keys, clock } = this.#options
    const memory = `${cluster} ${token}`
    const now = clock.now()
    const known = this.#remembered.get(memory)
    if (known !== undefined) {
      if (known.exp === undefined || now < known.exp * 1000) return known
      this.#remembered.delete(memory)
      return undefined
    }
    try {
      const { payload } = await jwtVerify(token, keys.of(cluster).publicKey, {
        algorithms: [ALGORITHM],
        currentDate: new Date(now),
      })
      if (!claims.accepts(payload)) return undefined
      this.#remember(memory, payload)
      return payload
    } catch (error) {
      if (error instanceof errors.JOSEError) return undefined
      throw error
    }
  }

  /** The objects that a token ends with, as keys of the store. */
  boundTo(said: Claims): readonly ObjectKey[] {
    const { namespace, serviceaccount, ...rest } = said['kubernetes.io']
    const bound: ObjectKey[] = [{ kind: 'serviceaccounts', namespace, name: serviceaccount.name }]
    for (const [kind, kept] of BOUND_KINDS) {
      const object = rest[kind]
      if (object === undefined || (kind === 'node' && rest.pod !== undefined)) continue
      bound.push({ kind: kept, namespace: kind === 'node' ? '' : namespace, name: object.name })
    }
    return bound
  }

  /** Whom a token that was read belongs to now; undefined when what it is bound to is gone. */
  ownerOf(said: Claims, view: AccessView): TokenOwner | undefined {
    const { namespace, serviceaccount, ...rest } = said['kubernetes.io']
    if (!this.#isThere(view, 'serviceaccounts', namespace, serviceaccount)) return undefined
    for (const [kind, kept] of BOUND_KINDS) {
      const object = rest[kind]
      // A pod's token names its node too, and does not end with it.
      if (object === undefined || (kind === 'node' && rest.pod !== undefined)) continue
      if (!this.#isThere(view, kept, kind === 'node' ? '' : namespace, object)) return undefined
    }
    const { pod, node } = rest
    const account = { namespace, name: serviceaccount.name }
    const extra = {
      ...(said.jti === undefined
        ? {}
        : { 'authentication.kubernetes.io/credential-id': [`JTI=${said.jti}`] }),
      ...(node === undefined
        ? {}
        : {
            'authentication.kubernetes.io/node-name': [node.name],
            'authentication.kubernetes.io/node-uid': [node.uid],
          }),
      ...(pod === undefined
        ? {}
        : {
            'authentication.kubernetes.io/pod-name': [pod.name],
            'authentication.kubernetes.io/pod-uid': [pod.uid],
          }),
    }
    const identity: Identity = {
      user: serviceAccountUser(account),
      uid: serviceaccount.uid,
      groups: serviceAccountGroups(account),
      extra,
    }
    return { identity, audiences: said.aud }
  }

  #isThere(view: AccessView, kind: string, namespace: string, { name, uid }: BoundObject): boolean {
    const stored = view.find(kind, namespace, name)
    if (stored === undefined) return false
    const { metadata } = view.read(stored)
    if (metadata.uid !== uid) return false
    const { deletionTimestamp } = metadata
    return (
      deletionTimestamp === undefined || this.#options.clock.now() < Date.parse(deletionTimestamp) + LEEWAY
    )
  }

  #remember(memory: string, claims: Claims): void {
    const [oldest] = this.#remembered.keys()
    if (this.#remembered.size >= MOST_REMEMBERED && oldest !== undefined) this.#remembered.delete(oldest)
    this.#remembered.set(memory, claims)
  }
}
