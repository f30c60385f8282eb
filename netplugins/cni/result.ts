/**
 * What an ADD made, in the shapes of the specification's versions.
 *
 * Inside Drover a result always has the shape of 1.1.0. Until 0.4.0 every address said its IP version; interfaces have
 * an MTU, and routes their attributes, since 1.1.0.
 */
import { type Static, Type, validatorOf } from '../../kit/index.ts'
import { networkErrors } from '../errors.ts'
import { type CniVersion, isCniVersion } from './specification.ts'

const text = Type.String({ maxLength: 4096 })

const interfaceSchema = Type.Object({
  name: text,
  mac: Type.Optional(text),
  mtu: Type.Optional(Type.Integer()),
  /** File of the namespace it is in; absent on the host. */
  sandbox: Type.Optional(text),
  socketPath: Type.Optional(text),
  pciID: Type.Optional(text),
})

const addressSchema = Type.Object({
  /** CIDR notation with the host's own bits: `10.42.0.5/16`. */
  address: text,
  gateway: Type.Optional(text),
  /** Index into `interfaces`. */
  interface: Type.Optional(Type.Integer({ minimum: 0 })),
})

const routeSchema = Type.Object({
  dst: text,
  gw: Type.Optional(text),
  mtu: Type.Optional(Type.Integer()),
  advmss: Type.Optional(Type.Integer()),
  priority: Type.Optional(Type.Integer()),
  table: Type.Optional(Type.Integer()),
  scope: Type.Optional(Type.Integer()),
})

const dnsSchema = Type.Object({
  nameservers: Type.Optional(Type.Array(text)),
  domain: Type.Optional(text),
  search: Type.Optional(Type.Array(text)),
  options: Type.Optional(Type.Array(text)),
})

const resultSchema = Type.Object({
  cniVersion: Type.Optional(text),
  interfaces: Type.Optional(Type.Array(interfaceSchema, { maxItems: 1024 })),
  ips: Type.Optional(Type.Array(addressSchema, { maxItems: 1024 })),
  routes: Type.Optional(Type.Array(routeSchema, { maxItems: 4096 })),
  dns: Type.Optional(dnsSchema),
})

const resultValidator = validatorOf(resultSchema)

export type CniInterface = Static<typeof interfaceSchema>
export type CniAddress = Static<typeof addressSchema>
export type CniRoute = Static<typeof routeSchema>
export type CniDns = Static<typeof dnsSchema>

/** Result of an ADD, as specification 1.1.0 shapes it, without its version. */
export interface CniResult {
  readonly interfaces: readonly CniInterface[]
  readonly ips: readonly CniAddress[]
  readonly routes: readonly CniRoute[]
  readonly dns: CniDns
}

/**
 * Reads a result of any version that we speak.
 *
 * @param object whose result it is, for the error
 * @throws `InvalidFormat`, or `IncompatibleCniVersion` for a version that we do not speak
 */
export function parseResult(value: unknown, object: string): CniResult {
  const {
    cniVersion,
    interfaces = [],
    ips = [],
    routes = [],
    dns = {},
  } = resultValidator.parse(value, object)
  if (cniVersion !== undefined && !isCniVersion(cniVersion)) {
    throw networkErrors.IncompatibleCniVersion({ object, message: `has the CNI version ${cniVersion}` })
  }
  return {
    interfaces,
    ips: ips.map(({ address, gateway, interface: index }) => ({
      address,
      ...(gateway === undefined ? {} : { gateway }),
      ...(index === undefined ? {} : { interface: index }),
    })),
    routes,
    dns,
  }
}

function isBefore100(version: CniVersion): boolean {
  return version === '0.3.1' || version === '0.4.0'
}

/** The result as a plugin of `version` prints it. */
export function formatResult(result: CniResult, version: CniVersion): Record<string, unknown> {
  const latest = version === '1.1.0'
  return {
    cniVersion: version,
    interfaces: result.interfaces.map(({ name, mac, sandbox, ...rest }) => ({
      name,
      ...(mac === undefined ? {} : { mac }),
      ...(sandbox === undefined ? {} : { sandbox }),
      ...(latest ? rest : {}),
    })),
    ips: result.ips.map(entry => ({
      ...(isBefore100(version) ? { version: entry.address.includes(':') ? '6' : '4' } : {}),
      ...entry,
    })),
    routes: result.routes.map(({ dst, gw, ...rest }) => ({
      dst,
      ...(gw === undefined ? {} : { gw }),
      ...(latest ? rest : {}),
    })),
    dns: result.dns,
  }
}

/** The result of a chain after one more plugin made `own` beside what `previous` says. */
export function appendResult(previous: CniResult | undefined, own: CniResult): CniResult {
  if (previous === undefined) return own
  const offset = previous.interfaces.length
  return {
    interfaces: [...previous.interfaces, ...own.interfaces],
    ips: [
      ...previous.ips,
      ...own.ips.map(entry =>
        entry.interface === undefined ? entry : { ...entry, interface: entry.interface + offset },
      ),
    ],
    routes: [...previous.routes, ...own.routes],
    dns: Object.keys(previous.dns).length > 0 ? previous.dns : own.dns,
  }
}
