/** The settings of VXLAN links, as they are inside of IFLA_LINKINFO (linux/if_link.h, IFLA_VXLAN_*). */
import { AttrStream, parseAttributes } from 'netlink'
import { decodeIpv4, encodeIpv4 } from './wire.ts'

const IFLA_VXLAN_ID = 1
const IFLA_VXLAN_LOCAL = 4
const IFLA_VXLAN_LEARNING = 7
const IFLA_VXLAN_PORT = 15

/** What a VXLAN link is; none of it can be changed later. */
export interface VxlanSettings {
  /** The VXLAN network identifier (VNI). */
  readonly id: number
  /** UDP port, of this host and of the others. */
  readonly port: number
  /** Address of this host that packets are sent from; undefined lets the route decide. */
  readonly local: string | undefined
  /** Whether it believes the source addresses of the frames that it receives. */
  readonly learning: boolean
}

export function encodeVxlanData({ id, port, local, learning }: VxlanSettings): Buffer {
  const data = new AttrStream()
  const number = Buffer.alloc(4)
  number.writeUInt32LE(id)
  data.push(IFLA_VXLAN_ID, number)
  if (local !== undefined) data.push(IFLA_VXLAN_LOCAL, encodeIpv4(local))
  data.push(IFLA_VXLAN_LEARNING, Buffer.from([learning ? 1 : 0]))
  const portBytes = Buffer.alloc(2)
  portBytes.writeUInt16BE(port)
  data.push(IFLA_VXLAN_PORT, portBytes)
  return Buffer.concat(data.bufs)
}

export function decodeVxlanData(bytes: Buffer): VxlanSettings {
  let settings: VxlanSettings = { id: 0, port: 0, local: undefined, learning: false }
  parseAttributes(bytes, ({ type, data }) => {
    if (type === IFLA_VXLAN_ID && data.length === 4) settings = { ...settings, id: data.readUInt32LE() }
    if (type === IFLA_VXLAN_PORT && data.length === 2) settings = { ...settings, port: data.readUInt16BE() }
    if (type === IFLA_VXLAN_LOCAL) settings = { ...settings, local: decodeIpv4(data) }
    if (type === IFLA_VXLAN_LEARNING) settings = { ...settings, learning: data[0] === 1 }
  })
  return settings
}
