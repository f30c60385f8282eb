import tap from 'tap'
import {
  blockWithIpv6Prefix,
  formatIpv6,
  parseIpv6,
  parseIpv6Prefix,
  requireIpv6Prefix,
  withIpv6Prefix,
} from '../../../kit/index.ts'

void tap.test('an address is spelled as the kernel spells it', async t => {
  for (const [text, shortest] of [
    ['FD42:0:0:0:0:0:A2A:1', 'fd42::a2a:1'],
    ['::', '::'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1'],
  ] as const) {
    t.equal(formatIpv6(parseIpv6(text) ?? Buffer.alloc(16)), shortest)
  }
})

void tap.test('a prefix for containers has 96 bits and is unicast', async t => {
  t.equal(parseIpv6Prefix('FD42:0:0::/96')?.text, 'fd42::/96')
  t.equal(parseIpv6Prefix('2001:db8:1:2:3:4::/96')?.text, '2001:db8:1:2:3:4::/96')
  for (const wrong of [
    ...['fd42::', 'fd42::/64', 'fd42::1/96', 'fd42::/96/96', 'fd42::/096', 'fd42::%eth0/96', '10.42.0.0/96'],
    ...['fe80::/96', 'ff02::/96', '::/96', '::ffff:0:0/96', '', '/96'],
  ]) {
    t.equal(parseIpv6Prefix(wrong), undefined, wrong)
    t.throws(() => requireIpv6Prefix(wrong, 'network'), { code: 'InvalidFormat' })
  }
})

void tap.test('an IPv6 address follows from the IPv4 address, and a block from a block', async t => {
  const prefix = requireIpv6Prefix('fd42::/96', 'network')
  t.equal(withIpv6Prefix(prefix, '10.42.0.1'), 'fd42::a2a:1')
  t.equal(withIpv6Prefix(prefix, '255.255.255.255'), 'fd42::ffff:ffff')
  t.equal(blockWithIpv6Prefix(prefix, '10.42.0.64/26'), 'fd42::a2a:40/122')
  t.equal(blockWithIpv6Prefix(prefix, '10.42.0.0/16'), 'fd42::a2a:0/112')
  t.throws(() => withIpv6Prefix(prefix, '10.42.0'), { code: 'InvalidFormat' })
  t.throws(() => blockWithIpv6Prefix(prefix, '10.42.0.1/16'), { code: 'InvalidFormat' })
})
