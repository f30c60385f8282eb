/** What a host needs to know to build its network; kept on disk, so that it needs nobody to tell it again. */
import path from 'node:path'
import {
  formatIpv4,
  formatIpv4Block,
  type Ipv4Block,
  ipv4BlockContains,
  kitErrors,
  readJsonFile,
  requireIpv4Block,
  type Static,
  Type,
  validatorOf,
  writeFileDurably,
} from '../../kit/index.ts'
import { type BridgeState, macOfAddress } from '../../netplugins/bridge/index.ts'

/** MTU of an uplink nobody said anything about: Ethernet's. */
const DEFAULT_MTU = 1500

const port = Type.Integer({ minimum: 1, maximum: 65535 })

const networkSettingsSchema = Type.Object({
  /** All containers of the cluster have addresses in this block. */
  clusterBlock: Type.String({ maxLength: 18 }),
  /** Of these, this host hands out the addresses. */
  blocks: Type.Array(Type.String({ maxLength: 18 }), { maxItems: 1024 }),
  /** Bytes; 1500 when absent. */
  mtu: Type.Optional(Type.Integer({ minimum: 576, maximum: 65_535 })),
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
  readonly clusterBlock: Ipv4Block
  readonly blocks: readonly Ipv4Block[]
  readonly bridge: BridgeState
}

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
export function planOf(input: NetworkSettings): NetworkPlan {
  const settings = networkSettings.parse(input, 'network settings')
  const clusterBlock = requireIpv4Block(settings.clusterBlock, 'cluster block')
  const gateway = formatIpv4(clusterBlock.base + 1)
  return {
    settings,
    clusterBlock,
    blocks: settings.blocks.map(block => blockWithin(clusterBlock, block)),
    bridge: {
      gateway,
      prefixLength: clusterBlock.prefixLength,
      mac: macOfAddress(gateway),
      mtu: settings.mtu ?? DEFAULT_MTU,
    },
  }
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
