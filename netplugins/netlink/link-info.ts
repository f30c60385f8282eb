/** IFLA_LINKINFO, the nested attributes that say what kind of link it is (linux/if_link.h). */
import { AttrStream, parseAttributes } from 'netlink'
import { decodeVxlanData, encodeVxlanData, type VxlanSettings } from './vxlan-info.ts'

const IFLA_INFO_KIND = 1
const IFLA_INFO_DATA = 2
const IFLA_INFO_SLAVE_KIND = 4
const IFLA_INFO_SLAVE_DATA = 5
const VETH_INFO_PEER = 1
const IFLA_MACVLAN_MODE = 1
const MACVLAN_MODE_BRIDGE = 4
/** Whether a bridge sends a frame back to the port it came from. */
const IFLA_BRPORT_MODE = 4

function encodeLinkInfo(kind: string, data?: Buffer): Buffer {
  const info = new AttrStream()
  info.push(IFLA_INFO_KIND, Buffer.from(`${kind}\0`))
  if (data !== undefined) info.push(IFLA_INFO_DATA, data)
  return Buffer.concat(info.bufs)
}

export function encodeBridgeInfo(): Buffer {
  return encodeLinkInfo('bridge')
}

export function encodeVxlanInfo(settings: VxlanSettings): Buffer {
  return encodeLinkInfo('vxlan', encodeVxlanData(settings))
}

/** Its links may talk to each other without the switch. */
export function encodeMacvlanInfo(): Buffer {
  const data = new AttrStream()
  const mode = Buffer.alloc(4)
  mode.writeUInt32LE(MACVLAN_MODE_BRIDGE)
  data.push(IFLA_MACVLAN_MODE, mode)
  return encodeLinkInfo('macvlan', Buffer.concat(data.bufs))
}

/** @param peer the peer's own link message: struct ifinfomsg and its attributes */
export function encodeVethInfo(peer: Buffer): Buffer {
  const data = new AttrStream()
  data.push(VETH_INFO_PEER, peer)
  return encodeLinkInfo('veth', Buffer.concat(data.bufs))
}

/** Settings of a port of a bridge. */
export function encodeBridgePortInfo(hairpin: boolean): Buffer {
  const data = new AttrStream()
  data.push(IFLA_BRPORT_MODE, Buffer.from([hairpin ? 1 : 0]))
  const info = new AttrStream()
  info.push(IFLA_INFO_SLAVE_KIND, Buffer.from('bridge\0'))
  info.push(IFLA_INFO_SLAVE_DATA, Buffer.concat(data.bufs))
  return Buffer.concat(info.bufs)
}

export interface LinkInfo {
  readonly kind: string | undefined
  /** Of a port of a bridge: whether frames may go back to where they came from. */
  readonly hairpin: boolean
  /** Of a VXLAN link. */
  readonly vxlan?: VxlanSettings
}

/** Reads an IFLA_LINKINFO attribute. */
export function decodeLinkInfo(info: Buffer | undefined): LinkInfo {
  let kind: string | undefined
  let hairpin = false
  let details: Buffer | undefined
  if (info !== undefined) {
    parseAttributes(info, ({ type, data }) => {
      if (type === IFLA_INFO_KIND) kind = data.toString('latin1').replace(/\0.*$/, '')
      if (type === IFLA_INFO_DATA) details = data
      if (type === IFLA_INFO_SLAVE_DATA) {
        parseAttributes(data, setting => {
          if (setting.type === IFLA_BRPORT_MODE) hairpin = setting.data[0] === 1
        })
      }
    })
  }
  if (kind === 'vxlan' && details !== undefined) return { kind, hairpin, vxlan: decodeVxlanData(details) }
  return { kind, hairpin }
}
