/** Who sends a request to a cluster: by Drover's credentials, or by tokens that the cluster's own objects stand behind. */
import type { Clock } from '../../../../kit/index.ts'
import type { ObjectKey } from '../../../store/index.ts'
import {
  type AccessView,
  AUTHENTICATED_GROUP,
  type Authenticate,
  type Credentials,
  type Identity,
} from '../access/index.ts'
import type { ClientAuthorities } from '../certificates/index.ts'
import {
  API_AUDIENCE,
  bootstrapIdentity,
  bootstrapSecretKey,
  isBootstrapToken,
  type ServiceAccountTokens,
  type TokenOwner,
} from '../tokens/index.ts'

export interface AuthenticationOptions {
  readonly authenticate: Authenticate
  readonly tokens: ServiceAccountTokens
  readonly clients: ClientAuthorities
  /** Opens a cluster; undefined when there is none. */
  readonly openCluster: (id: string) => Promise<AccessView | undefined>
  readonly clock: Clock
}

function authenticated(identity: Identity): Identity {
  return { ...identity, groups: [...identity.groups, AUTHENTICATED_GROUP] }
}

export class Authentication {
  readonly #options: AuthenticationOptions

  constructor(options: AuthenticationOptions) {
    this.#options = options
  }

  /**
   * Who holds credentials; undefined when they are nobody's in this cluster. A cluster is opened only for a token that
   * it has signed itself, or that looks like one of its bootstrap tokens.
   *
   * @param audiences whom a service account's token must have been made for, one of them
   * @returns the audiences that both sides name
   */
  async identify(
    cluster: string,
    credentials: Credentials,
    audiences: readonly string[] = [API_AUDIENCE],
  ): Promise<TokenOwner | undefined> {
    const identity = await this.#options.authenticate(cluster, credentials)
    if (identity !== undefined) return { identity: authenticated(identity), audiences }
    const { bearerToken, presentedCertificate } = credentials
    const holder = presentedCertificate && this.#holder(cluster, presentedCertificate)
    if (holder !== undefined) return { identity: authenticated(holder), audiences }
    if (bearerToken === undefined) return undefined
    const owner = (await this.#account(cluster, bearerToken)) ?? (await this.#bootstrap(cluster, bearerToken))
    if (owner === undefined) return undefined
    const common = audiences.filter(audience => owner.audiences.includes(audience))
    return common.length === 0 ? undefined : { identity: authenticated(owner.identity), audiences: common }
  }

  /** The objects of the cluster that credentials end with. */
  async standOn(cluster: string, { bearerToken }: Credentials): Promise<readonly ObjectKey[]> {
    if (bearerToken === undefined) return []
    if (isBootstrapToken(bearerToken)) return [bootstrapSecretKey(bearerToken)]
    const { tokens } = this.#options
    const claims = await tokens.read(cluster, bearerToken)
    return claims === undefined ? [] : tokens.boundTo(claims)
  }

  #holder(cluster: string, certificate: Uint8Array): Identity | undefined {
    const { clients, clock } = this.#options
    return clients.identify(cluster, certificate, clock.now())
  }

  async #account(cluster: string, token: string): Promise<TokenOwner | undefined> {
    const { tokens, openCluster } = this.#options
    const claims = await tokens.read(cluster, token)
    if (claims === undefined) return undefined
    const view = await openCluster(cluster)
    return view && tokens.ownerOf(claims, view)
  }

  async #bootstrap(cluster: string, token: string): Promise<TokenOwner | undefined> {
    if (!isBootstrapToken(token)) return undefined
    const view = await this.#options.openCluster(cluster)
    const identity = view && bootstrapIdentity(token, view, this.#options.clock.now())
    return identity && { identity, audiences: [API_AUDIENCE] }
  }
}
