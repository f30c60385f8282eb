/**
 * Reads a watch or a log as a page in a browser would: `URL ORIGIN TOKEN`, the token among the protocols. Writes a line of
 * JSON about it when it is over, or when the log has said its first line.
 */
import { readFileSync } from 'node:fs'
import { WebSocket } from 'ws'

const [url = '', origin = '', token = ''] = process.argv.slice(2)
const proof = `base64url.bearer.authorization.k8s.io.${Buffer.from(token).toString('base64url')}`
const websocket = new WebSocket(url, [proof, 'base64.binary.k8s.io'], {
  origin,
  ca: readFileSync('/var/lib/drover/tls/ca.crt'),
})
const messages: string[] = []
websocket.on('message', (data: Buffer) => {
  messages.push(String(data))
  if (url.includes('/log?') && messages.length > 1) websocket.close()
})
websocket.on('close', () => process.stdout.write(JSON.stringify({ protocol: websocket.protocol, messages })))
websocket.on('unexpected-response', (_, { statusCode }) => {
  process.stdout.write(JSON.stringify({ refused: statusCode }), () => process.exit(0))
})
