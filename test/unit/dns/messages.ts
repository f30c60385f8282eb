/** DNS messages for tests, made and read by dns2: another hand than the one that is tested. */
import dns2 from 'dns2'

const { Packet } = dns2

export const TYPE = Packet.TYPE

export interface QuestionOptions {
  readonly type?: number
  readonly id?: number
  /** Speaks EDNS with this size. */
  readonly edns?: number
  readonly version?: number
}

/** A query for `name`, in the spelling that is given. */
export function queryMessage(name: string, options: QuestionOptions = {}): Buffer {
  const packet = new Packet(new Packet.Header({ id: options.id ?? 4711, rd: 1 }))
  packet.questions.push(new Packet.Question(name, options.type ?? TYPE.A, Packet.CLASS.IN))
  if (options.edns === undefined) return packet.toBuffer()
  const message = packet.toBuffer()
  message.writeUInt16BE(1, 10)
  const opt = Buffer.alloc(11)
  opt.writeUInt16BE(TYPE.EDNS, 1)
  opt.writeUInt16BE(options.edns, 3)
  opt[6] = options.version ?? 0
  return Buffer.concat([message, opt])
}

/** An answer, with everything that tests look at. */
export interface Answer {
  readonly id: number
  readonly code: number
  readonly truncated: boolean
  readonly authoritative: boolean
  readonly name: string
  readonly addresses: readonly string[]
  readonly lifetimes: readonly number[]
  /** Owner and minimum of the SOA record. */
  readonly authority: { readonly name: string; readonly minimum: number } | undefined
  readonly ednsSize: number | undefined
  readonly size: number
}

export function readAnswer(message: Buffer): Answer {
  const packet = Packet.parse(message)
  const { header } = packet
  const records = packet.answers as { address?: string; ttl?: number }[]
  const soa = packet.authorities.find(({ type }) => type === TYPE.SOA) as
    | { name: string; minimum: number }
    | undefined
  const opt = packet.additionals.find(({ type }) => type === TYPE.EDNS) as { class?: number } | undefined
  return {
    id: header.id,
    code: header.rcode,
    truncated: header.tc === 1,
    authoritative: header.aa === 1,
    name: packet.questions[0]?.name ?? '',
    addresses: records.flatMap(({ address }) => address ?? []),
    lifetimes: records.map(({ ttl }) => ttl ?? -1),
    authority: soa && { name: soa.name, minimum: soa.minimum },
    ednsSize: opt?.class,
    size: message.length,
  }
}
