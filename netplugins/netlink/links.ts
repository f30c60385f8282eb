/** Network links (RTM_*LINK): bridges, veth pairs and whatever else a host has. */
import { closeSync } from 'node:fs'
import { AttrStream, FlagsNew, type ifla, rt } from 'netlink'
import {
  decodeLinkInfo,
  encodeBridgeInfo,
  encodeBridgePortInfo,
  encodeMacvlanInfo,
  encodeVethInfo,
  encodeVxlanInfo,
} from './link-info.ts'
import { openNamespaceFile } from './network-namespace.ts'
import { kernelErrorCode, type RouteSocket } from './route-socket.ts'
import type { VxlanSettings } from './vxlan-info.ts'
import { decodeMac, encodeMac } from './wire.ts'

export interface Link {
  readonly index: number
  readonly name: string
  /** `bridge`, `veth`, …; undefined for physical and loopback links. */
  readonly kind: string | undefined
  readonly mac: string | undefined
  readonly mtu: number
  /** Index of the bridge it is a port of. */
  readonly master: number | undefined
  /** Index of the link that it is on top of, or of the other end of a veth pair. */
  readonly parent: number | undefined
  /** Of a port of a bridge: whether the bridge sends frames back to it that came from it. */
  readonly hairpin: boolean
  /** Administratively up. */
  readonly up: boolean
  readonly promiscuous: boolean
  /** Link group, a number that users of links mark them with; 0 unless somebody set it. */
  readonly group: number
  /** Of a VXLAN link. */
  readonly vxlan?: VxlanSettings
}

/** What `setLink` changes; absent fields stay. */
export interface LinkChange {
  readonly up?: boolean
  /** Index of the bridge; 0 takes it out. */
  readonly master?: number
  readonly mtu?: number
  readonly mac?: string
  readonly promiscuous?: boolean
  readonly group?: number
}

export interface BridgeOptions {
  readonly name: string
  readonly mac: string
  readonly mtu: number
}

export interface VxlanOptions extends VxlanSettings {
  readonly name: string
  readonly mac: string
  readonly mtu: number
}

export interface MacvlanOptions {
  readonly name: string
  /** Index of the link whose network it is on; in the socket's namespace. */
  readonly parent: number
  readonly mac: string
  readonly mtu: number
  /** File of the namespace in which it appears; the socket's when absent. */
  readonly namespace?: string
}

export interface VethPairOptions {
  /** The end in the socket's namespace. */
  readonly name: string
  readonly mtu: number
  /** Index of the bridge that the near end becomes a port of. */
  readonly master: number
  readonly peer: {
    readonly name: string
    readonly mac: string
    /** File of the namespace in which the peer appears. */
    readonly namespace: string
  }
}

/** Reads the body of an RTM_NEWLINK or RTM_DELLINK message. */
export function decodeLink(message: rt.LinkMessage): Link | undefined {
  const { data, attrs } = message
  if (data.index === undefined || attrs.ifname === undefined) return undefined
  return {
    index: data.index,
    name: attrs.ifname,
    ...decodeLinkInfo(attrs.linkinfo),
    mac: decodeMac(attrs.address),
    mtu: attrs.mtu ?? 0,
    master: attrs.master === undefined || attrs.master === 0 ? undefined : attrs.master,
    parent: attrs.link?.length === 4 ? Buffer.from(attrs.link).readUInt32LE() : undefined,
    up: data.flags?.up === true,
    promiscuous: data.flags?.promisc === true,
    group: attrs.group ?? 0,
  }
}

export async function listLinks(socket: RouteSocket): Promise<Link[]> {
  const messages = await socket.request('links', 'list', (kernel, options) =>
    kernel.getLinks(undefined, undefined, options),
  )
  return messages.map(decodeLink).filter(link => link !== undefined)
}

/** @returns undefined when there is no link of that name */
export async function getLink(socket: RouteSocket, name: string): Promise<Link | undefined> {
  try {
    const [message] = await socket.request(`link ${name}`, 'read', (kernel, options) =>
      kernel.getLink({}, { ifname: name }, options),
    )
    return message === undefined ? undefined : decodeLink(message)
  } catch (error) {
    if (kernelErrorCode(error) === 'ENODEV') return undefined
    throw error
  }
}

/** Creates a bridge that is up. @throws `KernelRefused` (`EEXIST` when the name is taken) */
export async function createBridge(socket: RouteSocket, bridge: BridgeOptions): Promise<void> {
  await socket.request(`bridge ${bridge.name}`, 'create', (kernel, options) =>
    kernel.newLink(
      { flags: { up: true }, change: { up: true } },
      {
        ifname: bridge.name,
        address: encodeMac(bridge.mac),
        mtu: bridge.mtu,
        linkinfo: encodeBridgeInfo(),
      },
      { ...options, flags: FlagsNew.CREATE | FlagsNew.EXCL },
    ),
  )
}

/** Creates a VXLAN link that is up. @throws `KernelRefused` (`EEXIST` when name, or identifier and port are taken) */
export async function createVxlan(socket: RouteSocket, vxlan: VxlanOptions): Promise<void> {
  await socket.request(`VXLAN link ${vxlan.name}`, 'create', (kernel, options) =>
    kernel.newLink(
      { flags: { up: true }, change: { up: true } },
      {
        ifname: vxlan.name,
        address: encodeMac(vxlan.mac),
        mtu: vxlan.mtu,
        linkinfo: encodeVxlanInfo(vxlan),
      },
      { ...options, flags: FlagsNew.CREATE | FlagsNew.EXCL },
    ),
  )
}

/**
 * Creates a link with a MAC address of its own on the network of another link. It is down in another namespace, up in
 * this one.
 *
 * @throws `KernelRefused` (`EEXIST` when the name is taken), `NamespaceMissing`
 */
export async function createMacvlan(socket: RouteSocket, macvlan: MacvlanOptions): Promise<void> {
  const { namespace } = macvlan
  const file = namespace === undefined ? undefined : openNamespaceFile(namespace)
  const parent = Buffer.alloc(4)
  parent.writeUInt32LE(macvlan.parent)
  try {
    await socket.request(`macvlan link ${macvlan.name}`, 'create', (kernel, options) =>
      kernel.newLink(
        file === undefined ? { flags: { up: true }, change: { up: true } } : {},
        {
          ifname: macvlan.name,
          address: encodeMac(macvlan.mac),
          mtu: macvlan.mtu,
          link: parent,
          linkinfo: encodeMacvlanInfo(),
          ...(file === undefined ? {} : { netNsFd: file }),
        },
        { ...options, flags: FlagsNew.CREATE | FlagsNew.EXCL },
      ),
    )
  } finally {
    if (file !== undefined) closeSync(file)
  }
}

/**
 * Creates a veth pair, the near end up and a port of a bridge, the far end in another namespace: one request, so that
 * there is nothing to undo when it fails. The far end is down, because the kernel opens no veth that is still alone.
 *
 * @throws `KernelRefused` (`EEXIST` when either name is taken), `NamespaceMissing`
 */
export async function createVethPair(socket: RouteSocket, pair: VethPairOptions): Promise<void> {
  const namespace = openNamespaceFile(pair.peer.namespace)
  try {
    const peer: ifla.LinkAttrs = {
      ifname: pair.peer.name,
      address: encodeMac(pair.peer.mac),
      mtu: pair.mtu,
      netNsFd: namespace,
    }
    const body = new AttrStream()
    rt.formatLinkMessage({ kind: 'link', data: {}, attrs: peer }, body)
    await socket.request(
      `veth pair ${pair.name} and ${pair.peer.name} in ${pair.peer.namespace}`,
      'create',
      (kernel, options) =>
        kernel.newLink(
          { flags: { up: true }, change: { up: true } },
          {
            ifname: pair.name,
            mtu: pair.mtu,
            master: pair.master,
            linkinfo: encodeVethInfo(Buffer.concat(body.bufs)),
          },
          { ...options, flags: FlagsNew.CREATE | FlagsNew.EXCL },
        ),
    )
  } finally {
    closeSync(namespace)
  }
}

function flagsOf(change: LinkChange): Pick<rt.Link, 'flags' | 'change'> {
  return {
    flags: {
      ...(change.up === true ? { up: true } : {}),
      ...(change.promiscuous === true ? { promisc: true } : {}),
    },
    change: {
      ...(change.up === undefined ? {} : { up: true }),
      ...(change.promiscuous === undefined ? {} : { promisc: true }),
    },
  }
}

/** Changes a link. @throws `KernelRefused` (`ENODEV` when there is none of that name) */
export async function setLink(socket: RouteSocket, name: string, change: LinkChange): Promise<void> {
  await socket.request(`link ${name}`, 'change', (kernel, options) =>
    kernel.newLink(
      flagsOf(change),
      {
        ifname: name,
        ...(change.master === undefined ? {} : { master: change.master }),
        ...(change.mtu === undefined ? {} : { mtu: change.mtu }),
        ...(change.mac === undefined ? {} : { address: encodeMac(change.mac) }),
        ...(change.group === undefined ? {} : { group: change.group }),
      },
      options,
    ),
  )
}

/**
 * Deletes a link. This process waits for the kernel for up to 33 ms: for what is rare, and for other namespaces; else see
 * `LinkRemover`.
 *
 * @returns false when there was none
 */
export async function deleteLink(socket: RouteSocket, name: string): Promise<boolean> {
  try {
    await socket.request(`link ${name}`, 'delete', (kernel, options) =>
      kernel.delLink({}, { ifname: name }, options),
    )
    return true
  } catch (error) {
    if (kernelErrorCode(error) === 'ENODEV') return false
    throw error
  }
}

/** Lets a bridge send frames back to the port they came from, or not. @throws `KernelRefused` when it is no port */
export async function setHairpin(socket: RouteSocket, name: string, hairpin: boolean): Promise<void> {
  await socket.request(`link ${name}`, 'change', (kernel, options) =>
    kernel.newLink({}, { ifname: name, linkinfo: encodeBridgePortInfo(hairpin) }, options),
  )
}
