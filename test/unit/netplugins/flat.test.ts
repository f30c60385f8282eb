/** What is decided about the flat network before anything is done. */
import t from 'tap'
import { formatIpv4Block, ipv4BlockSize } from '../../../kit/index.ts'
import { blocksOfRange } from '../../../netplugins/flat/index.ts'

t.test('a range as blocks', async t => {
  const blocks = (start: string, end: string) =>
    blocksOfRange('192.0.2.0/24', start, end).map(formatIpv4Block)
  t.strictSame(blocks('192.0.2.100', '192.0.2.100'), ['192.0.2.100/32'])
  t.strictSame(blocks('192.0.2.0', '192.0.2.255'), ['192.0.2.0/24'])
  t.strictSame(blocks('192.0.2.110', '192.0.2.120'), ['192.0.2.110/31', '192.0.2.112/29', '192.0.2.120/32'])
  for (let start = 0; start < 256; start += 7) {
    for (let end = start; end < 256; end += 5) {
      const found = blocksOfRange('192.0.2.0/24', `192.0.2.${start}`, `192.0.2.${end}`)
      const size = found.reduce((sum, block) => sum + ipv4BlockSize(block), 0)
      if (size !== end - start + 1) t.fail(`${start} to ${end}: ${found.map(formatIpv4Block).join()}`)
    }
  }
  t.strictSame(blocksOfRange('0.0.0.0/0', '0.0.0.0', '255.255.255.255').map(formatIpv4Block), ['0.0.0.0/0'])
})

t.test('ranges that are none', async t => {
  const wrong: [string, string, string][] = [
    ['192.0.2.9', '192.0.2.8', 'rangeEnd'],
    ['192.0.3.1', '192.0.2.8', 'rangeStart'],
    ['192.0.2.1', '192.0.3.8', 'rangeEnd'],
    ['one', '192.0.2.8', 'rangeStart'],
  ]
  for (const [start, end, field] of wrong)
    t.throws(() => blocksOfRange('192.0.2.0/24', start, end), { code: 'InvalidFormat', field })
  t.throws(() => blocksOfRange('192.0.2.1/24', '192.0.2.1', '192.0.2.2'), { code: 'InvalidFormat' })
})
