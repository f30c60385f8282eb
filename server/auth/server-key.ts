/** The server's own secret: signs registration tokens and derives the tokens of services. */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { kitErrors, systemErrorCode, writeFileDurably } from '../../kit/index.ts'

const KEY_BYTES = 32

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

  verify(purpose: string, text: string, signature: string): boolean {
    const wanted = Buffer.from(this.sign(purpose, text))
    const given = Buffer.from(signature)
    return wanted.length === given.length && timingSafeEqual(wanted, given)
  }
}
