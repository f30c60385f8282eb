/** How flows are written in messages to the kernel. */
import t from 'tap'
import { decodeFlow, deleteMessage, flowsToMessage } from '../../../netplugins/conntrack/flow-messages.ts'
import { attribute, nestedAttribute } from '../../../netplugins/netlink/index.ts'

const HEADER = Buffer.from([2, 0, 0, 0])

function direction(
  type: number,
  source: number,
  destination: number,
  ports: readonly [number, number],
  protocol = 17,
) {
  const port = (kind: number, value: number) => attribute(kind, Buffer.from([value >> 8, value & 255]))
  const ip = (kind: number, last: number) => attribute(kind, Buffer.from([192, 0, 2, last]))
  return nestedAttribute(
    type,
    nestedAttribute(1, ip(1, source), ip(2, destination)),
    nestedAttribute(2, attribute(1, Buffer.from([protocol])), port(2, ports[0]), port(3, ports[1])),
  )
}

t.test('a flow is read, and deleted by what it is', async t => {
  const original = direction(1, 9, 1, [40_000, 5400])
  const reply = direction(2, 66, 9, [53, 40_000])
  const id = attribute(12, Buffer.from([1, 2, 3, 4]))
  const flow = decodeFlow(Buffer.concat([HEADER, original, reply, id]))
  t.match(flow, {
    original: { source: '192.0.2.9', destination: '192.0.2.1', sourcePort: 40_000, destinationPort: 5400 },
    reply: { source: '192.0.2.66', sourcePort: 53 },
  })
  t.ok(flow)
  if (flow !== undefined) t.strictSame(deleteMessage(flow), Buffer.concat([HEADER, original, id]))
})

t.test('what is no UDP flow is passed over', async t => {
  const tcp = [direction(1, 9, 1, [40_000, 80], 6), direction(2, 1, 9, [80, 40_000], 6)]
  t.equal(decodeFlow(Buffer.concat([HEADER, ...tcp])), undefined)
  t.equal(decodeFlow(HEADER), undefined)
  t.equal(decodeFlow(Buffer.concat([HEADER, nestedAttribute(1), nestedAttribute(2)])), undefined)
})

t.test('the kernel is asked for one port', async t => {
  t.match(flowsToMessage(5400).toString('hex'), /1518/, 'in network order')
})
