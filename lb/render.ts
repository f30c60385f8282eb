/** Writes a model in HAProxy's language, with the templates beside this file. */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { isIPv6 } from 'node:net'
import path from 'node:path'
import Handlebars from 'handlebars'
import { lbErrors } from './errors.ts'
import {
  type Backend,
  type Endpoint,
  effectiveWeight,
  type Frontend,
  type HaproxyModel,
  type HostMatch,
  type RoutingRule,
  serverName,
} from './model.ts'
import { quoted, quotedFormat, requireInteger, requireName, requireOneLine } from './text.ts'

/** Where the files that belong to a configuration are. */
export interface ConfigurationFiles {
  readonly directory: string
}

export function certificateFile({ directory }: ConfigurationFiles, name: string): string {
  // Users give certificates names that no file may have.
  return path.join(
    directory,
    `certificate-${createHash('sha256').update(name).digest('hex').slice(0, 32)}.pem`,
  )
}

export function certificateListFile(
  { directory }: ConfigurationFiles,
  frontend: string,
  bind: number,
): string {
  return path.join(directory, `certificates-${requireName(frontend, 'frontend')}-${bind}.list`)
}

export function mapFile({ directory }: ConfigurationFiles, name: string): string {
  return path.join(directory, `map-${requireName(name, 'map')}.map`)
}

/** Where a server is that stands for no endpoint. It is in maintenance: nothing is sent there. */
const NOWHERE = '127.0.0.1:1'

const METHODS = { exact: 'str', prefix: 'beg', suffix: 'end' } as const

/** One server. Many thousands of them are written: no template for each. */
function serverOf(endpoint: Endpoint | undefined | null, slot: number): string {
  if (endpoint === undefined || endpoint === null) return `${serverName(slot)} ${NOWHERE} disabled`
  const place = `${isIPv6(endpoint.address) ? `[${endpoint.address}]` : endpoint.address}:${endpoint.port}`
  // One that starts as down is switched on by a command: HAProxy cannot be told so by a file.
  const switchedOff = endpoint.initially === 'down' ? ' disabled' : ''
  return `${serverName(slot)} ${place} weight ${effectiveWeight(endpoint)}${switchedOff}`
}

function requireProtocol(protocol: string): string {
  if (protocol === 'h2' || protocol === 'http/1.1') return protocol
  throw lbErrors.InvalidModel({ object: `protocol ${protocol.slice(0, 40)}`, expected: 'h2 or http/1.1' })
}

/** Every path begins with a slash. */
function asksPath({ path }: RoutingRule): boolean {
  return path !== undefined && !(path.kind === 'prefix' && path.value === '/')
}

/** Whether the name is looked at more than once, so that it is worth keeping; a user's own lines may look at it, too. */
function keepsHost({ rules, hostMap, mode, custom = [] }: Frontend): boolean {
  const asking = rules.filter(({ host }) => host !== undefined).length
  return mode === 'http' && (hostMap !== undefined || asking > 1 || (asking === 1 && custom.length > 0))
}

/** Values reach the file through `word`, `format`, `name`, `number`, `address`, `alpn`, `line`, `appended`, `hostName` and `serverOf` alone; a test looks. */
const helpers = {
  word: quoted,
  format: quotedFormat,
  name: (name: string) => requireName(name, 'name'),
  number: (value: number) => String(requireInteger(value, 0, 2 ** 31, 'number')),
  line: (line: string) => requireOneLine(line, 'line'),
  /** No block in the template: inside one, an empty slot would be taken for a level of its own. */
  appended: (line: string | undefined) => (line === undefined ? '' : ` ${requireOneLine(line, 'line')}`),
  address: (address: string) =>
    address === '*' ? '*' : isIPv6(address) ? `[${address}]` : requireName(address, 'address'),
  serverOf,
  alpn: (protocols: readonly string[]) => protocols.map(requireProtocol).join(','),
  lower: (value: string) => value.toLowerCase(),
  method: (kind: HostMatch['kind']) => METHODS[kind],
  equal: (left: unknown, right: unknown) => left === right,
  conditional: (rule: RoutingRule) => rule.host !== undefined || asksPath(rule),
  asksPath,
  keepsHost,
  hasHost: (frontend: Frontend) => frontend.mode !== 'http' || keepsHost(frontend),
  hostName: (host: string) => {
    if (/^[A-Za-z0-9_.-]{1,253}$/.test(host)) return host
    throw lbErrors.InvalidModel({
      object: `host ${JSON.stringify(host.slice(0, 80))}`,
      expected: 'the name of a host',
    })
  },
  looksUpNames: ({ backends }: HaproxyModel) => backends.some(({ names = [] }) => names.length > 0),
  serverDefaults: ({ check, sendProxy, tls, http2 }: Backend) =>
    check !== undefined || sendProxy !== undefined || tls !== undefined || http2 === true,
  certificateList: certificateListFile,
  mapFile,
}

let compiled: Handlebars.TemplateDelegate | undefined

/** Compiled when something is rendered for the first time, not when the room is imported. */
function template(): Handlebars.TemplateDelegate {
  if (compiled !== undefined) return compiled
  const handlebars = Handlebars.create()
  const read = (name: string) =>
    readFileSync(path.join(import.meta.dirname, 'templates', `${name}.hbs`), 'utf8')
  // HTML's escapes are not HAProxy's: helpers write the words.
  const options = { noEscape: true, knownHelpers: {}, preventIndent: true }
  for (const [name, helper] of Object.entries(helpers)) handlebars.registerHelper(name, helper)
  for (const name of ['frontend', 'backend']) {
    handlebars.registerPartial(name, handlebars.compile(read(name), options))
  }
  compiled = handlebars.compile(read('haproxy'), options)
  return compiled
}

/**
 * The configuration as text. `model` has been checked by `requireModel`.
 *
 * @param adminSocket where HAProxy listens for commands
 */
export function renderConfiguration(
  model: HaproxyModel,
  files: ConfigurationFiles,
  adminSocket: string,
): string {
  return template()({ model, files, adminSocket: `unix@${adminSocket}` })
}

/** The certificates of one bind: the first is the default. */
export function renderCertificateList(names: readonly string[], files: ConfigurationFiles): string {
  return names.map(name => `${certificateFile(files, name)}\n`).join('')
}

/** A map, as HAProxy reads it from a file. */
export function renderMap(entries: readonly (readonly [string, string])[]): string {
  return entries.map(([key, value]) => `${key} ${value}\n`).join('')
}
