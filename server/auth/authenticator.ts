/** Finds out who sends a request. */
import type { IncomingMessage } from 'node:http'
import { REGISTRATION_USER } from '../../protocol/index.ts'
import type { Model } from '../model/index.ts'
import { createCredentials, hashSecret, secretMatches } from './credentials.ts'
import { authErrors } from './errors.ts'
import type { RegistrationTokens } from './registration-tokens.ts'

/** Who sends a request. */
export type Principal =
  | { readonly kind: 'admin'; readonly keyId: string; readonly name: string }
  | { readonly kind: 'agent'; readonly keyId: string; readonly hostId: string; readonly clusterId: string }
  /** Holds a registration token: may register a host, nothing else. */
  | { readonly kind: 'registration'; readonly clusterId: string }
  /** A part of the server itself, such as the writer of pods. */
  | { readonly kind: 'component'; readonly name: string }

interface PresentedCredentials {
  readonly user: string
  readonly password: string
}

/** HTTP Basic, or the same pair as `Bearer user:password` for clients that know only tokens. */
function presentedCredentials(authorization: string | undefined): PresentedCredentials | undefined {
  const [scheme = '', value = ''] = (authorization ?? '').split(' ', 2)
  let pair: string
  if (/^basic$/i.test(scheme)) pair = Buffer.from(value, 'base64').toString('utf8')
  else if (/^bearer$/i.test(scheme)) pair = value
  else return undefined
  const colon = pair.indexOf(':')
  return colon < 0 ? undefined : { user: pair.slice(0, colon), password: pair.slice(colon + 1) }
}

export class Authenticator {
  readonly #model: Model
  readonly #tokens: RegistrationTokens
  readonly #components = new Map<string, { name: string; hash: string }>()

  constructor(model: Model, tokens: RegistrationTokens) {
    this.#model = model
    this.#tokens = tokens
  }

  /** Makes credentials for a part of this process; they end with it. The result goes behind `Bearer `. */
  componentToken(name: string): string {
    const { accessKey, secretKey } = createCredentials()
    this.#components.set(accessKey, { name, hash: hashSecret(secretKey) })
    return `${accessKey}:${secretKey}`
  }

  /**
   * Who is behind an `Authorization` header; undefined when it is absent or wrong.
   *
   * @throws `InvalidToken`, `ExpiredToken` for a registration token that is refused
   */
  identify(authorization: string | undefined): Principal | undefined {
    const presented = presentedCredentials(authorization)
    if (presented === undefined) return undefined
    const { user, password } = presented
    if (user === REGISTRATION_USER) {
      return { kind: 'registration', clusterId: this.#tokens.verify(password).clusterId }
    }
    const component = this.#components.get(user)
    if (component !== undefined) {
      return secretMatches(password, component.hash) ? { kind: 'component', name: component.name } : undefined
    }
    const key = this.#model.apiKeys.find('publicValue', user)
    if (key === undefined || key.state !== 'active' || !secretMatches(password, key.secretHash))
      return undefined
    return key.role.kind === 'admin'
      ? { kind: 'admin', keyId: key.id, name: key.name }
      : { kind: 'agent', keyId: key.id, hostId: key.role.hostId, clusterId: key.role.clusterId }
  }

  /** @throws `Unauthorized` when nobody known sent the request */
  require(request: IncomingMessage): Principal {
    const principal = this.identify(request.headers.authorization)
    if (principal === undefined) throw authErrors.Unauthorized()
    return principal
  }

  /** @throws `Unauthorized`, `Forbidden` unless an administrator sent the request */
  requireAdmin(request: IncomingMessage): void {
    if (this.require(request).kind !== 'admin') throw authErrors.Forbidden()
  }
}
