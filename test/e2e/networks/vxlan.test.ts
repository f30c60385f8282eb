/** The network of kind vxlan, in a fleet of three hosts. */
import t, { type Test } from 'tap'
import { until } from '../../lab/fleet.ts'
import { inPrivateNetwork } from '../../lab/private-network.ts'
import type { NetworkFleet } from './matrix.ts'
import { testNetwork } from './network-life.ts'

t.setTimeout(600_000)

const skip = inPrivateNetwork(import.meta.filename)

const CLUSTER = '10.42.0.0/16'
const SETTING = 'net.netfilter.nf_conntrack_tcp_be_liberal'

/** Of every round of questions, two containers of different hosts send each other 10 MB; two hosts see that. */
const TRANSFERRED = 40_000_000

/** Bytes that passed the hosts' rules, from containers to containers, while everybody asked everything. */
async function bytesByTheRules(world: NetworkFleet): Promise<number> {
  const rule = ['CATTLE_USER', '-s', CLUSTER, '-d', CLUSTER, '-p', 'tcp']
  for (const host of world.members) await host.run('iptables', ['-A', ...rule])
  const wrong = await world.answers()
  if (wrong.length > 0) throw new Error(wrong.join('\n'))
  let bytes = 0
  for (const host of world.members) {
    const { stdout } = await host.run('iptables', ['-nvxL', 'CATTLE_USER'])
    const row = stdout.split('\n').find(line => line.includes(CLUSTER))
    bytes += Number(row?.trim().split(/\s+/)[1])
    await host.run('iptables', ['-D', ...rule])
  }
  return bytes
}

/** Packets of known flows take a short way, by themselves, unless somebody does not want it. */
async function testFlowOffload(t: Test, world: NetworkFleet): Promise<void> {
  const settings = async () => {
    const outputs = await Promise.all(world.members.map(host => host.run('sysctl', ['-n', SETTING])))
    return outputs.map(({ stdout }) => stdout.trim())
  }
  await t.test('known flows take the short way', async t => {
    await until('they do', 30_000, async () => (await bytesByTheRules(world)) < TRANSFERRED / 5)
    t.strictSame(await settings(), ['1', '1', '1'])
  })
  await t.test('and none when it is switched off', async t => {
    await world.choose('vxlan', { vxlan: { flowOffload: false } })
    t.strictSame(await world.failures(), [])
    const bytes = await bytesByTheRules(world)
    t.ok(bytes > TRANSFERRED, `${bytes} bytes`)
    for (const host of world.members)
      t.notMatch((await host.run('nft', ['list', 'tables'])).stdout, 'drover_flows')
    await world.choose('vxlan')
  })
}

t.test('vxlan', { skip, timeout: 590_000 }, t => testNetwork(t, 'vx', 'vxlan', {}, testFlowOffload))
