/**
 * Changes of this network namespace's firewall rules, as the kernel tells them (nf_tables' multicast group). Rules made
 * by the iptables programs of the nft kind are among them; those of the legacy kind are told to nobody.
 */
import { Protocol } from 'netlink'
import { openEventSocket } from './event-socket.ts'
import { closeLater } from './route-socket.ts'

/** Multicast group NFNLGRP_NFTABLES (linux/netfilter/nfnetlink.h). */
const NFTABLES_GROUP = 7

/** NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWGEN: ends the notifications of one committed change. */
const NEW_GENERATION = (10 << 8) | 15

/** struct nfgenmsg: family, version, resource id. */
const HEADER_SIZE = 4

/** Attributes of a generation (linux/netfilter/nf_tables.h). */
const NFTA_GEN_PROC_PID = 2

/** Low bits of an attribute's type; the others are flags. */
const TYPE_MASK = 0x3fff

/** Who made a change: a process id of the machine's first process namespace; undefined when the kernel does not say. */
function processOf(body: Buffer): number | undefined {
  for (let offset = HEADER_SIZE; offset + 4 <= body.length; ) {
    const size = body.readUInt16LE(offset)
    const type = body.readUInt16LE(offset + 2) & TYPE_MASK
    if (size < 4) return undefined
    if (type === NFTA_GEN_PROC_PID && size >= 8) return body.readUInt32BE(offset + 4)
    offset += (size + 3) & ~3
  }
  return undefined
}

/**
 * Calls `listener` after every change of nf_tables rules, with the process that made it.
 *
 * @returns ends the subscription
 * @throws `KernelRefused` on a kernel without nf_tables
 */
export function watchRuleset(listener: (process: number | undefined) => void): () => void {
  const socket = openEventSocket(Protocol.NETFILTER)
  socket.on('message', messages => {
    for (const { type, data } of messages) {
      if (type !== NEW_GENERATION) continue
      listener(processOf(Buffer.concat(Array.isArray(data) ? data : [data])))
    }
  })
  socket.on('error', () => listener(undefined))
  socket.on('invalid', () => listener(undefined))
  socket.addMembership(NFTABLES_GROUP)
  return () => closeLater(socket)
}
