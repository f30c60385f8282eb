/** The server's own secret: signs registration tokens, derives the tokens of services, and seals what is stored as a secret. */
import {
  createCipheriv,
  createDecipheriv,
  createHmac,
  hkdfSync,
  randomBytes,
  timingSafeEqual,
} from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { kitErrors, systemErrorCode, writeFileDurably } from '../../kit/index.ts'
import { authErrors } from './errors.ts'

const KEY_BYTES = 32

/** AES-256-GCM (NIST SP 800-38D): a nonce of 12 bytes, a tag of 16. */
const NONCE_BYTES = 12
const TAG_BYTES = 16

export class ServerKey {
  readonly #key: Buffer

  private constructor(key: Buffer) {
    this.#key = key
  }

  /**
   * Reads the key from `file`, or makes one and writes it there (mode 0600).
   *
   * @throws `CorruptFile` when the file holds something else
   */
  static async load(file: string): Promise<ServerKey> {
    try {
      const key = Buffer.from((await readFile(file, 'utf8')).trim(), 'hex')
      if (key.length !== KEY_BYTES)
        throw kitErrors.CorruptFile({ object: file, expected: 'a key of 64 hex digits' })
      return new ServerKey(key)
    } catch (error) {
      if (systemErrorCode(error) !== 'ENOENT') throw error
      const key = randomBytes(KEY_BYTES)
      await writeFileDurably(file, `${key.toString('hex')}\n`)
      return new ServerKey(key)
    }
  }

  /**
   * HMAC-SHA256 over `text`, base64url (43 characters).
   *
   * @param purpose keeps signatures of one use from being valid for another
   */
  sign(purpose: string, text: string): string {
    return createHmac('sha256', this.#key).update(`${purpose}\n${text}`).digest('base64url')
  }

  /**
   * Encrypts `text`, so that it may be stored. Only this key and the same purpose open it again.
   *
   * @returns base64
   */
  seal(purpose: string, text: string): string {
    const nonce = randomBytes(NONCE_BYTES)
    const cipher = createCipheriv('aes-256-gcm', this.#sealingKey(purpose), nonce)
    const body = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()])
    return Buffer.concat([nonce, cipher.getAuthTag(), body]).toString('base64')
  }

  /** @throws `CannotUnseal` when it was sealed with another key or for another purpose, or changed since */
  unseal(purpose: string, sealed: string): string {
    const bytes = Buffer.from(sealed, 'base64')
    try {
      const key = this.#sealingKey(purpose)
      const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, NONCE_BYTES), {
        authTagLength: TAG_BYTES,
      })
      decipher.setAuthTag(bytes.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES))
      const body = decipher.update(bytes.subarray(NONCE_BYTES + TAG_BYTES))
      return Buffer.concat([body, decipher.final()]).toString('utf8')
    } catch (cause) {
      throw authErrors.CannotUnseal({ object: purpose, cause })
    }
  }

  #sealingKey(purpose: string): Buffer {
    return Buffer.from(hkdfSync('sha256', this.#key, '', `seal ${purpose}`, KEY_BYTES))
  }

  verify(purpose: string, text: string, signature: string): boolean {
    const wanted = Buffer.from(this.sign(purpose, text))
    const given = Buffer.from(signature)
    return wanted.length === given.length && timingSafeEqual(wanted, given)
  }
}
