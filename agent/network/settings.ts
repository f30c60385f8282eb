/** What a host needs to know to build its network; kept on disk, so that it needs nobody to tell it again. */
import path from 'node:path'
import {
  formatIpv4,
  formatIpv4Block,
  type Ipv4Block,
  type Ipv6Prefix,
  ipv4BlockContains,
  kitErrors,
  readJsonFile,
  requireIpv4Block,
  requireIpv6Prefix,
  type Static,
  Type,
  validatorOf,
  withIpv6Prefix,
  writeFileDurably,
} from '../../kit/index.ts'
import { type BridgeState, type Ipv6Gateway, macOfAddress } from '../../netplugins/bridge/index.ts'
import type { ExternalConfiguration } from '../../netplugins/driver/index.ts'
import { blocksOfRange } from '../../netplugins/flat/index.ts'
import { ipv6Problem, type NetworkChoice, networkChoiceSchema } from '../../protocol/index.ts'

const port = Type.Integer({ minimum: 1, maximum: 65535 })

const networkSettingsSchema = Type.Object({
  /** All containers of the cluster have addresses in this block. */
  clusterBlock: Type.String({ maxLength: 18 }),
  /** Of these, this host hands out the addresses. */
  blocks: Type.Array(Type.String({ maxLength: 18 }), { maxItems: 1024 }),
  /** By which other hosts reach this one; absent where there are none. */
  address: Type.Optional(Type.String({ maxLength: 15 })),
  /** A bridge that leads to no other host, when absent. */
  network: Type.Optional(networkChoiceSchema),
  /** Secrets that the hosts of the cluster share. */
  hostKeys: Type.Optional(
    Type.Object({
      current: Type.String({ maxLength: 128 }),
      previous: Type.Optional(Type.String({ maxLength: 128 })),
    }),
  ),
  /** Labels of this host that say something of its network. */
  labels: Type.Optional(Type.Record(Type.String(), Type.String())),
  metadata: Type.Object({
    /** The address that containers ask; lives on this host's loopback. */
    address: Type.String({ maxLength: 15 }),
    /** Where on that address the metadata server listens; containers ask port 80. */
    httpPort: port,
    /** Where on that address the DNS server listens; containers ask port 53. */
    dnsPort: port,
  }),
})

export type NetworkSettings = Static<typeof networkSettingsSchema>

const networkSettings = validatorOf(networkSettingsSchema)

/** The settings, with what follows from them. */
export interface NetworkPlan {
  readonly settings: NetworkSettings
  /** The network that containers believe to be on: the cluster's block, or the hosts' own network. */
  readonly subnet: Ipv4Block
  /** Of these, this host hands out the addresses; on the hosts' own network, all hosts hand out the same. */
  readonly blocks: readonly Ipv4Block[]
  readonly network: NetworkChoice
  readonly bridge: BridgeState
  /** Containers have an IPv6 address too, which this makes of their IPv4 address. */
  readonly ipv6Prefix?: Ipv6Prefix
}

const ISOLATED: NetworkChoice = { kind: 'bridge', options: {}, hostPorts: true }

/** What the host itself adds to its settings. */
export interface HostLinkFacts {
  /** Of the link by which other hosts are reached, in bytes. */
  readonly uplinkMtu: number
  /** Bytes by which packets to other hosts grow. */
  readonly overhead: number
  /** Whether it can carry containers' IPv6 packets. */
  readonly dualStack: boolean
}

/** Before the host has been looked at. */
export const ETHERNET: HostLinkFacts = { uplinkMtu: 1500, overhead: 0, dualStack: false }

/** Links with less carry no IPv6 (RFC 8200, section 5), in bytes. */
export const IPV6_MINIMUM_MTU = 1280

function blockWithin(clusterBlock: Ipv4Block, text: string): Ipv4Block {
  const block = requireIpv4Block(text, 'address block')
  if (block.prefixLength >= clusterBlock.prefixLength && ipv4BlockContains(clusterBlock, block.base))
    return block
  throw kitErrors.InvalidFormat({
    object: `address block ${text}`,
    message: 'is outside of the cluster',
    expected: `a block within ${formatIpv4Block(clusterBlock)}`,
  })
}

/** @throws `InvalidFormat` */
export function planOf(input: NetworkSettings, facts: HostLinkFacts = ETHERNET): NetworkPlan {
  const settings = networkSettings.parse(input, 'network settings')
  const clusterBlock = requireIpv4Block(settings.clusterBlock, 'cluster block')
  const gateway = formatIpv4(clusterBlock.base + 1)
  const network = settings.network ?? ISOLATED
  const blocks = settings.blocks.map(block => blockWithin(clusterBlock, block))
  const mtu = (network.options.mtu ?? facts.uplinkMtu) - facts.overhead
  const wanted = wantedIpv6Prefix(network)
  const ipv6Prefix = facts.dualStack && mtu >= IPV6_MINIMUM_MTU ? wanted : undefined
  return {
    settings,
    ...(flatAddresses(network) ?? { subnet: clusterBlock, blocks }),
    network,
    bridge: {
      gateway,
      prefixLength: clusterBlock.prefixLength,
      mac: macOfAddress(gateway),
      mtu,
      ...(ipv6Prefix && { ipv6: gateway6Of(ipv6Prefix, gateway, clusterBlock) }),
    },
    ...(ipv6Prefix && { ipv6Prefix }),
  }
}

/** The prefix that somebody chose, whether or not this host can do with it. @throws `InvalidFormat` */
export function wantedIpv6Prefix({ kind, options }: NetworkChoice): Ipv6Prefix | undefined {
  if (options.ipv6Prefix === undefined) return undefined
  const prefix = requireIpv6Prefix(options.ipv6Prefix, 'IPv6 prefix')
  return ipv6Problem(kind, options) === undefined ? prefix : undefined
}

function gateway6Of(prefix: Ipv6Prefix, gateway: string, { prefixLength }: Ipv4Block): Ipv6Gateway {
  return { address: withIpv6Prefix(prefix, gateway), prefixLength: 96 + prefixLength }
}

/** @throws `InvalidFormat` */
function flatAddresses({ kind, options }: NetworkChoice): Pick<NetworkPlan, 'subnet' | 'blocks'> | undefined {
  if (kind !== 'flat') return undefined
  if (options.flat === undefined) {
    throw kitErrors.InvalidFormat({
      object: 'network settings',
      message: 'do not say which network',
      field: 'options.flat',
    })
  }
  const { subnet, rangeStart, rangeEnd } = options.flat
  return { subnet: requireIpv4Block(subnet, 'subnet'), blocks: blocksOfRange(subnet, rangeStart, rangeEnd) }
}

/** Somebody else's CNI plugins, where a cluster has chosen them. */
export function externalConfiguration({ kind, options }: NetworkChoice): ExternalConfiguration | undefined {
  return kind === 'external' ? options.external?.cniConfig : undefined
}

export class SettingsFile {
  readonly #file: string

  constructor(directory: string) {
    this.#file = path.join(directory, 'settings.json')
  }

  /** @returns undefined when none were ever written. @throws `CorruptFile` */
  async read(): Promise<NetworkSettings | undefined> {
    return await readJsonFile(this.#file, networkSettings)
  }

  async write(settings: NetworkSettings): Promise<void> {
    await writeFileDurably(this.#file, JSON.stringify(settings))
  }
}
