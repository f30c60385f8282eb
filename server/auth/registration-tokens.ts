/** Issues and checks the tokens with which hosts join a cluster. */
import { randomBytes } from 'node:crypto'
import { formatRegistrationToken, parseRegistrationToken, protocolErrors } from '../../protocol/index.ts'
import type { Model, RegistrationToken } from '../model/index.ts'
import type { ServerKey } from './server-key.ts'

const PURPOSE = 'registration'

/** A token without a chosen end is valid this long (milliseconds): a year, to be written into provisioning. */
export const DEFAULT_TOKEN_LIFE = 365 * 24 * 60 * 60 * 1000

export class RegistrationTokens {
  readonly #model: Model
  readonly #key: ServerKey
  readonly #authorityChecksum: string

  constructor(model: Model, key: ServerKey, authorityChecksum: string) {
    this.#model = model
    this.#key = key
    this.#authorityChecksum = authorityChecksum
  }

  /** Stores a new token for `clusterId`, valid for `life` milliseconds. */
  async issue(clusterId: string, life: number): Promise<RegistrationToken> {
    const publicValue = randomBytes(10).toString('hex').toUpperCase()
    return await this.#model.registrationTokens.create({
      name: publicValue.slice(0, 6).toLowerCase(),
      state: 'active',
      clusterId,
      publicValue,
      expires: Date.now() + life,
    })
  }

  /** The text that a host needs. It can be made again at any time, so nothing secret is stored. */
  text(token: RegistrationToken): string {
    const authorityChecksum = this.#authorityChecksum
    const { publicValue, expires } = token
    return formatRegistrationToken({
      publicValue,
      expires,
      authorityChecksum,
      signature: this.#key.sign(PURPOSE, `${publicValue}:${expires}:${authorityChecksum}`),
    })
  }

  /**
   * The token that `text` stands for.
   *
   * @throws `InvalidToken` for a wrong or revoked one, `ExpiredToken`
   */
  verify(text: string): RegistrationToken {
    const { publicValue, expires, authorityChecksum, signature } = parseRegistrationToken(text)
    const object = `registration token ${publicValue.slice(0, 6)}…`
    const token = this.#model.registrationTokens.find('publicValue', publicValue)
    if (
      !this.#key.verify(PURPOSE, `${publicValue}:${expires}:${authorityChecksum}`, signature) ||
      token === undefined ||
      token.state !== 'active'
    ) {
      throw protocolErrors.InvalidToken({ object })
    }
    if (expires < Date.now()) {
      throw protocolErrors.ExpiredToken({ object, message: `expired at ${new Date(expires).toISOString()}` })
    }
    return token
  }
}
