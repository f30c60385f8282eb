/**
 * Reads one path again and again on kept connections: a program of its own, so that it has a core of its own.
 *
 *     node client.ts PORT SECONDS CONNECTIONS PATH    prints the number of answers
 */
import { connect } from 'node:net'

const [port, seconds, connections, path] = process.argv.slice(2)
const request = Buffer.from(`GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n`)
let answers = 0
for (let count = 0; count < Number(connections); count += 1) {
  const socket = connect(Number(port), '127.0.0.1')
  socket.setNoDelay(true)
  // Answers are small: each comes in one piece.
  socket.on('data', () => {
    answers += 1
    socket.write(request)
  })
  socket.write(request)
}
setTimeout(() => {
  process.stdout.write(`${answers}\n`)
  process.exit(0)
}, Number(seconds) * 1000)
