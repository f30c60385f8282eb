/** Queueing disciplines of links (RTM_*QDISC, tc(8)). */
import { parseAttributes } from 'netlink'
import type { RouteSocket } from './route-socket.ts'

const RTM_GETQDISC = 38
const NLM_F_DUMP = 0x300
const TCA_KIND = 1
/** struct tcmsg (linux/rtnetlink.h): its size, and where the index of the link is. */
const MESSAGE_SIZE = 20
const LINK_OFFSET = 4

/** Those that packets pass which come in by a link. */
const INGRESS_KINDS: ReadonlySet<string> = new Set(['ingress', 'clsact'])

/** Indexes of the links where something is done to packets that come in, for instance to limit how many. @throws `KernelRefused` */
export async function linksWithIngressQueue(socket: RouteSocket): Promise<ReadonlySet<number>> {
  const [messages] = await socket.request('queueing disciplines', 'list', (kernel, options) =>
    kernel.socket.request(RTM_GETQDISC, Buffer.alloc(MESSAGE_SIZE), { ...options, flags: NLM_F_DUMP }),
  )
  const found = new Set<number>()
  for (const { data } of messages) {
    if (data.length < MESSAGE_SIZE) continue
    const kind = kindOf(data.subarray(MESSAGE_SIZE))
    if (kind !== undefined && INGRESS_KINDS.has(kind)) found.add(data.readInt32LE(LINK_OFFSET))
  }
  return found
}

function kindOf(attributes: Buffer): string | undefined {
  let kind: string | undefined
  parseAttributes(attributes, ({ type, data }) => {
    if (type === TCA_KIND) kind = data.toString('latin1').replace(/\0+$/, '')
  })
  return kind
}
