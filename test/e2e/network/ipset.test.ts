/** Address sets, compared with what the program ipset says of them. */
import { execFileSync } from 'node:child_process'
import t from 'tap'
import { createLogger } from '../../../kit/index.ts'
import { AddressSet } from '../../../netplugins/ipset/index.ts'
import { inPrivateNetwork } from '../../lab/private-network.ts'

const skip = inPrivateNetwork(import.meta.filename)

const log = createLogger('ipset', 'error')

function entriesOf(name: string): string[] {
  const lines = execFileSync('ipset', ['save', name], { encoding: 'utf8' }).split('\n')
  return lines.flatMap(line => (line.startsWith('add ') ? [line.split(' ')[2] ?? ''] : [])).toSorted()
}

t.test('a set follows what it should hold', { skip }, async t => {
  const set = new AddressSet({ name: 'HOSTS', type: 'hash:ip', log })
  t.teardown(() => set.close())
  t.equal(set.exists, false)
  await set.apply(['192.0.2.1', '192.0.2.2'])
  t.equal(set.exists, true)
  t.strictSame(entriesOf('HOSTS'), ['192.0.2.1', '192.0.2.2'])
  await set.apply(['192.0.2.2', '192.0.2.3', '192.0.2.3'])
  t.strictSame(entriesOf('HOSTS'), ['192.0.2.2', '192.0.2.3'])
  await set.apply([])
  t.strictSame(entriesOf('HOSTS'), [])

  execFileSync('ipset', ['add', 'HOSTS', '192.0.2.9'])
  t.equal(await set.verify(['192.0.2.1']), 2)
  t.equal(await set.verify(['192.0.2.1']), 0)
  execFileSync('ipset', ['destroy', 'HOSTS'])
  t.equal(await set.verify(['192.0.2.1']), 2)
  t.strictSame(entriesOf('HOSTS'), ['192.0.2.1'])
  await t.rejects(set.apply(['192.0.2.300']), { code: 'InvalidFormat' })
  await set.remove()
  await set.remove()
  t.throws(() => entriesOf('HOSTS'))
})

t.test('networks, and many of them', { skip }, async t => {
  const set = new AddressSet({ name: 'NETWORKS', type: 'hash:net', log })
  t.teardown(() => set.close())
  const blocks = ['10.0.0.0/8', '10.42.1.3/32', '10.42.5.0/26']
  await set.verify(blocks)
  t.strictSame(entriesOf('NETWORKS'), ['10.0.0.0/8', '10.42.1.3', '10.42.5.0/26'])
  t.equal(await set.verify(blocks), 0)
  const many = Array.from({ length: 5000 }, (_, index) => `10.${index >> 8}.${index & 255}.0/26`)
  t.equal(await set.verify(many), 5000 + 3)
  t.equal(entriesOf('NETWORKS').length, 5000)
  t.equal(await set.verify(many), 0)
  const tooMany = Array.from(
    { length: 65_537 },
    (_, index) => `10.${index >> 16}.${(index >> 8) & 255}.${index & 255}`,
  )
  await t.rejects(set.apply(tooMany), { code: 'SetRefused', expected: /65536/ })
  await set.remove()
})

t.test('what is in the way', { skip }, async t => {
  execFileSync('ipset', ['create', 'OTHER', 'hash:net'])
  const other = new AddressSet({ name: 'OTHER', type: 'hash:ip', log })
  await t.rejects(other.verify([]), { code: 'SetRefused', mend: /ipset destroy OTHER/ })
  const used = new AddressSet({ name: 'USED', type: 'hash:ip', log })
  await used.apply(['192.0.2.1'])
  const rule = ['INPUT', '-m', 'set', '--match-set', 'USED', 'src', '-j', 'DROP']
  execFileSync('iptables', ['-A', ...rule])
  await t.rejects(used.remove(), { code: 'SetInUse' })
  t.strictSame(entriesOf('USED'), [], 'it holds nobody any more')
  execFileSync('iptables', ['-D', ...rule])
  await used.remove()
  used.close()
  await t.rejects(used.apply([]), { code: 'Stopped' })
  other.close()
})
