/** Asks a DNS server over real sockets. */
import { createSocket } from 'node:dgram'
import { connect } from 'node:net'
import { atMost } from '../../../kit/index.ts'

export interface Server {
  readonly address: string
  readonly port: number
}

/** The first datagram that comes back. @param from the source address, when it matters */
export async function askByUdp(server: Server, message: Buffer, from?: string): Promise<Buffer> {
  const socket = createSocket('udp4')
  try {
    if (from !== undefined) await new Promise<void>(resolve => socket.bind(0, from, resolve))
    const answer = new Promise<Buffer>((resolve, reject) => {
      socket.once('message', resolve)
      socket.once('error', reject)
    })
    socket.send(message, server.port, server.address)
    return await atMost(10_000, 'datagram', answer)
  } finally {
    socket.close()
  }
}

/** Sends all messages on one connection; the answers in the order in which they come. */
export async function askByTcp(
  server: Server,
  messages: readonly Buffer[],
  from?: string,
): Promise<readonly Buffer[]> {
  const socket = connect({
    host: server.address,
    port: server.port,
    ...(from === undefined ? {} : { localAddress: from }),
  })
  const framed = messages.map(message => {
    const length = Buffer.alloc(2)
    length.writeUInt16BE(message.length)
    return Buffer.concat([length, message])
  })
  socket.write(Buffer.concat(framed))
  const answers: Buffer[] = []
  const read = async () => {
    let received: Buffer = Buffer.alloc(0)
    for await (const data of socket) {
      received = Buffer.concat([received, data as Buffer])
      while (received.length >= 2 && received.length >= 2 + received.readUInt16BE(0)) {
        answers.push(received.subarray(2, 2 + received.readUInt16BE(0)))
        received = received.subarray(2 + received.readUInt16BE(0))
      }
      if (answers.length >= messages.length) return
    }
  }
  try {
    await atMost(10_000, 'answers', read())
    return answers
  } finally {
    socket.destroy()
  }
}
