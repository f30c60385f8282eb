/** IFLA_LINKINFO, the nested attributes that say what kind of link it is (linux/if_link.h). */
import { AttrStream, parseAttributes } from 'netlink'

const IFLA_INFO_KIND = 1
const IFLA_INFO_DATA = 2
const VETH_INFO_PEER = 1

function encodeLinkInfo(kind: string, data?: Buffer): Buffer {
  const info = new AttrStream()
  info.push(IFLA_INFO_KIND, Buffer.from(`${kind}\0`))
  if (data !== undefined) info.push(IFLA_INFO_DATA, data)
  return Buffer.concat(info.bufs)
}

export function encodeBridgeInfo(): Buffer {
  return encodeLinkInfo('bridge')
}

/** @param peer the peer's own link message: struct ifinfomsg and its attributes */
export function encodeVethInfo(peer: Buffer): Buffer {
  const data = new AttrStream()
  data.push(VETH_INFO_PEER, peer)
  return encodeLinkInfo('veth', Buffer.concat(data.bufs))
}

/** The kind in an IFLA_LINKINFO attribute. */
export function decodeLinkKind(info: Buffer | undefined): string | undefined {
  if (info === undefined) return undefined
  let kind: string | undefined
  parseAttributes(info, attribute => {
    if (attribute.type === IFLA_INFO_KIND) kind = attribute.data.toString('latin1').replace(/\0.*$/, '')
  })
  return kind
}
