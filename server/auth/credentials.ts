/** Makes and compares access keys and secret keys. */
import { createHash, randomBytes, randomInt, timingSafeEqual } from 'node:crypto'

/** Letters and digits without those that are easily mistaken for each other. */
const SECRET_ALPHABET = '23456789abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ'
const SECRET_LENGTH = 40

export interface CredentialPair {
  readonly accessKey: string
  readonly secretKey: string
}

/** A new random pair: the access key is public, the secret key has about 230 bits. */
export function createCredentials(): CredentialPair {
  let secretKey = ''
  while (secretKey.length < SECRET_LENGTH) secretKey += SECRET_ALPHABET[randomInt(SECRET_ALPHABET.length)]
  return { accessKey: randomBytes(10).toString('hex').toUpperCase(), secretKey }
}

/**
 * What is stored instead of a secret key. A plain digest is enough: nobody guesses 230 random bits, so there is
 * nothing for a slow hash to slow down.
 */
export function hashSecret(secretKey: string): string {
  return createHash('sha256').update(secretKey).digest('hex')
}

/** Compares without telling by its duration how much of the secret was right. */
export function secretMatches(secretKey: string, hash: string): boolean {
  const given = createHash('sha256').update(secretKey).digest()
  const wanted = Buffer.from(hash, 'hex')
  return given.length === wanted.length && timingSafeEqual(given, wanted)
}
