/** Where a database is, and with which credentials: `mysql://USER:PASSWORD@HOST[:PORT]/DATABASE`. */
import { storeErrors } from '../errors.ts'

export interface MysqlAddress {
  readonly host: string
  readonly port: number
  readonly user: string
  readonly password: string
  readonly database: string
  /** The same without credentials, for people. */
  readonly shown: string
}

const SCHEMES = new Set(['mysql:', 'mariadb:'])
const DEFAULT_PORT = 3306
const NAME = /^[A-Za-z0-9_-]{1,64}$/

/** Whether a text means a database of this kind. */
export function isMysqlAddress(text: string): boolean {
  return /^(mysql|mariadb):/.test(text)
}

/** @throws `InvalidAddress`, which never shows the password */
export function parseMysqlAddress(text: string): MysqlAddress {
  const shown = text.replace(/\/\/[^@/]*@/, '//')
  const wrong = (expected: string) => storeErrors.InvalidAddress({ object: shown, expected })
  if (!URL.canParse(text)) throw wrong('mysql://USER:PASSWORD@HOST:PORT/DATABASE')
  const url = new URL(text)
  const database = decodeURIComponent(url.pathname.slice(1))
  if (!SCHEMES.has(url.protocol) || url.hostname === '')
    throw wrong('mysql://USER:PASSWORD@HOST:PORT/DATABASE')
  if (!NAME.test(database)) throw wrong('a database of 1 to 64 letters, digits, _ and -')
  return {
    host: url.hostname,
    port: url.port === '' ? DEFAULT_PORT : Number(url.port),
    user: decodeURIComponent(url.username),
    password: decodeURIComponent(url.password),
    database,
    shown,
  }
}
