/** Containers with two families of addresses in a fleet of three hosts: switched on, whatever may happen, switched off. */
import t from 'tap'
import { inPrivateNetwork } from '../../lab/private-network.ts'
import { NetworkFleet } from './matrix.ts'
import { testEvents, testRemoval, traces } from './network-life.ts'

t.setTimeout(600_000)

const skip = inPrivateNetwork(import.meta.filename)

const OPTIONS = { ipv6Prefix: 'fd42::/96' }

t.test('two families', { skip, timeout: 590_000, bail: true }, async t => {
  const world = await NetworkFleet.start(t, 'ds')
  const forwarding = async () => {
    const names = ['net.ipv6.conf.all.forwarding', 'net.ipv6.conf.eth0.accept_ra']
    const outputs = await Promise.all(world.members.map(host => host.run('sysctl', ['-n', ...names])))
    return outputs.map(({ stdout }) => stdout.split('\n').slice(0, 2).join(' '))
  }
  const before = await forwarding()
  await t.test('chosen, for containers that are made from now on', async t => {
    await world.choose('vxlan', OPTIONS)
    await world.recreate()
    t.strictSame(await world.failures(), [])
  })
  await testEvents(t, world)
  for (const kind of ['bridge', 'ipsec', 'vxlan']) {
    await t.test(`another kind: ${kind}`, async t => {
      await world.choose(kind, OPTIONS)
      t.strictSame(await world.failures(), [])
    })
  }
  await t.test('switched off, and on again', async t => {
    await world.choose('vxlan')
    t.strictSame(await world.failures(), [])
    for (const host of world.members) {
      t.notMatch(await traces(host), /fd42|CATTLE_\w+ .*fd42|fe80::c000:20\d lladdr/)
    }
    t.strictSame(await forwarding(), before)
    await world.choose('vxlan', OPTIONS)
    t.strictSame(await world.failures(), [])
  })
  await t.test('nothing at all at the end', async t => {
    await testRemoval(t, world, 3)
    t.notMatch(await traces(world.fleet.host(3)), 'fd42')
    t.strictSame((await forwarding())[2], before[2])
  })
})
