import fc from 'fast-check'
import t from 'tap'
import { formatIpv4 } from '../../../kit/index.ts'
import { hostInterfaceName, macOfAddress } from '../../../netplugins/bridge/index.ts'

t.test('names of links fit, and differ', async t => {
  const name = hostInterfaceName('a'.repeat(64), 'eth0')
  t.match(name, /^vethr[0-9a-f]{10}$/)
  t.equal(name, hostInterfaceName('a'.repeat(64), 'eth0'))
  t.not(name, hostInterfaceName('a'.repeat(64), 'eth1'))
  fc.assert(fc.property(fc.string(), fc.string(), (id, link) => hostInterfaceName(id, link).length === 15))
})

t.test('MAC addresses are unicast, local and as unique as the address', async t => {
  t.equal(macOfAddress('10.42.0.5'), '02:d0:0a:2a:00:05')
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 2 ** 32 - 1 }),
      fc.integer({ min: 0, max: 2 ** 32 - 1 }),
      (one, other) => {
        const [first, second] = [macOfAddress(formatIpv4(one)), macOfAddress(formatIpv4(other))]
        return /^02(:[0-9a-f]{2}){5}$/.test(first) && (first === second) === (one === other)
      },
    ),
  )
  t.throws(() => macOfAddress('10.42.0'), { code: 'InvalidFormat' })
})
