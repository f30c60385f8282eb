/** What a network interface of the host is configured with, so that it can be given to another one, and back. */
import { kitErrors, runCommand, type Static, Type, validatorOf } from '../../kit/index.ts'
import { networkErrors } from '../errors.ts'

const addressSchema = Type.Object({
  family: Type.Union([Type.Literal('inet'), Type.Literal('inet6')]),
  local: Type.String(),
  prefixlen: Type.Integer(),
  broadcast: Type.Optional(Type.String()),
  /** The other end, on a point-to-point link. */
  address: Type.Optional(Type.String()),
  scope: Type.String(),
  label: Type.Optional(Type.String()),
  metric: Type.Optional(Type.Integer()),
  noprefixroute: Type.Optional(Type.Boolean()),
  valid_life_time: Type.Optional(Type.Number()),
  preferred_life_time: Type.Optional(Type.Number()),
})

/** An address, in the words of `ip -json address`. */
export type InterfaceAddress = Static<typeof addressSchema>

export const interfaceConfigurationSchema = Type.Object({
  mac: Type.String(),
  mtu: Type.Integer(),
  /** Global ones, in order: of a network the first one is the source. */
  addresses: Type.Array(addressSchema),
  /** In the words in which `ip route` prints and takes them, without the link; the kernel's own left out. */
  routes4: Type.Array(Type.String()),
  routes6: Type.Array(Type.String()),
})

export type InterfaceConfiguration = Static<typeof interfaceConfigurationSchema>

const listing = validatorOf(
  Type.Array(
    Type.Object({
      address: Type.Optional(Type.String()),
      mtu: Type.Integer(),
      addr_info: Type.Array(Type.Unknown()),
    }),
  ),
)
const addressOf = validatorOf(addressSchema)

/** The kernel's number of what it does by itself (rt_protos): it will do it again. */
const KERNEL_ROUTE = / proto 2(?: |$)/
/** Routes to the host itself, which come with its addresses. */
const LOCAL_TABLE = / table 255(?: |$)/
/** What is printed but not taken. */
const OUTPUT_ONLY =
  / (?:linkdown|dead|offload|rt_offload|trap|rt_trap|notify|expires -?\d+sec|error -?\d+)(?= |$)/g

/** @param text what `ip -N route show table all dev LINK` printed */
export function parseRoutes(text: string): string[] {
  return text
    .split('\n')
    .map(line => ` ${line.trim()} `.replaceAll(OUTPUT_ONLY, '').trim())
    .filter(line => line !== '' && !KERNEL_ROUTE.test(line) && !LOCAL_TABLE.test(line) && !isLinkLocal(line))
}

function isLinkLocal(route: string): boolean {
  return /^(?:multicast )?(?:fe80:|ff00:)/.test(route)
}

/** @param text what `ip -json address show dev LINK` printed. @throws `InvalidFormat` */
export function parseAddresses(text: string): { mac: string; mtu: number; addresses: InterfaceAddress[] } {
  const [link] = listing.parse(JSON.parse(text), 'output of ip')
  if (link === undefined) throw kitErrors.InvalidFormat({ object: 'output of ip', message: 'is empty' })
  const entries = link.addr_info.filter(
    entry => typeof entry === 'object' && entry !== null && 'scope' in entry && entry.scope === 'global',
  )
  return {
    mac: link.address ?? '',
    mtu: link.mtu,
    addresses: entries.map(entry => addressOf.parse(entry, 'output of ip')),
  }
}

/** Reads the configuration of a link. @throws `KernelRefused` for what could not be moved, `CommandFailed` */
export async function readConfiguration(name: string): Promise<InterfaceConfiguration> {
  const routes = async (family: string, ...filter: string[]) =>
    (await runCommand('ip', ['-N', family, 'route', 'show', 'table', 'all', ...filter])).stdout
  const [addresses, routes4, routes6, all4, all6] = await Promise.all([
    runCommand('ip', ['-json', 'address', 'show', 'dev', name]),
    routes('-4', 'dev', name),
    routes('-6', 'dev', name),
    // Routes by several links are listed for none of them.
    routes('-4'),
    routes('-6'),
  ])
  requireSimpleRoutes(name, `${routes4}${routes6}`, `${all4}${all6}`)
  return {
    ...parseAddresses(addresses.stdout),
    routes4: parseRoutes(routes4),
    routes6: parseRoutes(routes6),
  }
}

/** @param own routes by this link alone */
function requireSimpleRoutes(name: string, own: string, all: string): void {
  const isPart = (line: string) => line.trim().startsWith('nexthop ') && `${line} `.includes(` dev ${name} `)
  const strange = all.split('\n').find(isPart) ?? own.split('\n').find(line => / nhid \d/.test(line))
  if (strange === undefined) return
  throw networkErrors.KernelRefused({
    object: `route "${strange.trim().slice(0, 100)}" of ${name}`,
    message: 'has several next hops, or one by number, and cannot be moved to a bridge',
    mend: 'make the bridge by hand, or choose the mode macvlan',
  })
}

/** The router that the default route with the lowest metric leads to. */
export function gatewayOf(configuration: InterfaceConfiguration): string | undefined {
  const defaults = configuration.routes4.flatMap(route => {
    const gateway = /^default via (\S+)/.exec(route)?.[1]
    if (gateway === undefined || / table /.test(route)) return []
    return [{ gateway, metric: Number(/ metric (\d+)/.exec(route)?.[1] ?? 0) }]
  })
  return defaults.toSorted((a, b) => a.metric - b.metric)[0]?.gateway
}

/** Whether two links are configured alike, as far as it can be moved. */
export function isSameConfiguration(a: InterfaceConfiguration, b: InterfaceConfiguration): boolean {
  const text = ({ addresses, routes4, routes6 }: InterfaceConfiguration) =>
    JSON.stringify([
      addresses.map(({ family, local, prefixlen }) => [family, local, prefixlen]),
      routes4.toSorted(),
      routes6.toSorted(),
    ])
  return text(a) === text(b)
}
