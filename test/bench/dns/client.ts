/**
 * Asks one question again and again: a program of its own, so that it has a core of its own.
 *
 *     node client.ts PORT SECONDS OUTSTANDING MESSAGE-IN-HEX    prints the number of answers
 */
import { createSocket } from 'node:dgram'

const [port, seconds, outstanding, hex] = process.argv.slice(2)
const message = Buffer.from(hex ?? '', 'hex')
const socket = createSocket({
  type: 'udp4',
  lookup: (address, _options, callback) => callback(null, address, 4),
})
let answers = 0
const send = () => socket.send(message, Number(port), '127.0.0.1')
socket.on('message', () => {
  answers += 1
  send()
})
for (let count = 0; count < Number(outstanding); count += 1) send()
setTimeout(() => {
  process.stdout.write(`${answers}\n`)
  process.exit(0)
}, Number(seconds) * 1000)
