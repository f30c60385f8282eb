/** Which network the containers of a cluster have: what users choose, servers keep and agents build. */
import { parseIpv6Prefix, type Static, Type, validatorOf } from '../kit/index.ts'

const text = (maximum: number) => Type.String({ minLength: 1, maxLength: maximum })
const address = text(45)

/**
 * `bridge`: every host for itself · `vxlan`, `ipsec`: overlays · `routed`: layer 3, a subnet per host · `flat`: layer 2, the
 * hosts' own network · `external`: somebody else's CNI plugins.
 */
export const NETWORK_KINDS = ['bridge', 'vxlan', 'ipsec', 'routed', 'flat', 'external'] as const

export type NetworkKind = (typeof NETWORK_KINDS)[number]

const networkKindSchema = Type.Union([
  Type.Literal('bridge'),
  Type.Literal('vxlan'),
  Type.Literal('ipsec'),
  Type.Literal('routed'),
  Type.Literal('flat'),
  Type.Literal('external'),
])

const routedSchema = Type.Object(
  {
    /** Who tells routers: `hostgw` the hosts' kernels, `aws` the route tables of a VPC, `none` somebody by hand. */
    provider: Type.Union([Type.Literal('hostgw'), Type.Literal('aws'), Type.Literal('none')]),
    aws: Type.Optional(
      Type.Object(
        {
          region: text(64),
          routeTableIds: Type.Array(text(64), { minItems: 1, maxItems: 64 }),
          /** Instead of Amazon's, e.g. of a private endpoint. */
          endpoint: Type.Optional(text(512)),
        },
        { additionalProperties: false },
      ),
    ),
  },
  { additionalProperties: false },
)

const flatSchema = Type.Object(
  {
    /** Of the hosts' network; hosts may name another one by label. */
    interface: text(15),
    subnet: text(18),
    rangeStart: address,
    rangeEnd: address,
    gateway: address,
    /** `macvlan` leaves the host's interface as it is, but keeps host and containers apart. */
    mode: Type.Union([Type.Literal('bridge'), Type.Literal('macvlan')]),
    /** Addresses come from the network's own DHCP server. */
    dhcp: Type.Boolean(),
  },
  { additionalProperties: false },
)

const networkOptionsSchema = Type.Object(
  {
    /** MTU of the hosts' network, in bytes; read from each host's uplink when absent. */
    mtu: Type.Optional(Type.Integer({ minimum: 576, maximum: 65_535 })),
    /**
     * Gives every container an IPv6 address too: these 96 bits, followed by its IPv4 address. For the kinds `bridge`, `vxlan`
     * and `ipsec`; packets between hosts stay IPv4 on the outside.
     */
    ipv6Prefix: Type.Optional(text(43)),
    vxlan: Type.Optional(
      Type.Object(
        {
          /**
           * Whether packets of connections that were let through once may go past firewall rules and connection tracking, where
           * the kernel can do that. True when absent.
           */
          flowOffload: Type.Optional(Type.Boolean()),
        },
        { additionalProperties: false },
      ),
    ),
    /** How hosts prove to each other who they are. */
    ipsec: Type.Optional(
      Type.Object(
        { authentication: Type.Union([Type.Literal('psk'), Type.Literal('certificate')]) },
        { additionalProperties: false },
      ),
    ),
    routed: Type.Optional(routedSchema),
    flat: Type.Optional(flatSchema),
    /** File name in the configuration directory → CNI configuration (list). */
    external: Type.Optional(
      Type.Object(
        { cniConfig: Type.Record(Type.String(), Type.Record(Type.String(), Type.Unknown())) },
        { additionalProperties: false },
      ),
    ),
  },
  { additionalProperties: false },
)

export type NetworkOptions = Static<typeof networkOptionsSchema>
export type RoutedOptions = NonNullable<NetworkOptions['routed']>
export type FlatOptions = NonNullable<NetworkOptions['flat']>

export const networkOptions = validatorOf(networkOptionsSchema)

/** What a user chose, as it travels to the hosts. */
export const networkChoiceSchema = Type.Object({
  kind: networkKindSchema,
  options: networkOptionsSchema,
  /** Whether containers may publish ports on their hosts. */
  hostPorts: Type.Boolean(),
})

export type NetworkChoice = Static<typeof networkChoiceSchema>

const NEEDS_OPTIONS: Partial<Record<NetworkKind, keyof NetworkOptions>> = {
  routed: 'routed',
  flat: 'flat',
  external: 'external',
}

const DUAL_STACK_KINDS: ReadonlySet<NetworkKind> = new Set(['bridge', 'vxlan', 'ipsec'])

/** Why a network of this kind cannot have that `ipv6Prefix`; undefined when it can, or has none. */
export function ipv6Problem(kind: NetworkKind, { ipv6Prefix }: NetworkOptions): string | undefined {
  if (ipv6Prefix === undefined) return undefined
  if (!DUAL_STACK_KINDS.has(kind)) return `a network of kind ${kind} has no IPv6 addresses of ours`
  return parseIpv6Prefix(ipv6Prefix) === undefined
    ? 'must be a unicast prefix of 96 bits such as fd42::/96'
    : undefined
}

/** What is missing for a network of this kind; undefined when nothing is. */
export function missingOption(kind: NetworkKind, options: NetworkOptions): string | undefined {
  const needed = NEEDS_OPTIONS[kind]
  if (needed !== undefined && options[needed] === undefined) return needed
  if (kind === 'routed' && options.routed?.provider === 'aws' && options.routed.aws === undefined) {
    return 'routed.aws'
  }
  return undefined
}
