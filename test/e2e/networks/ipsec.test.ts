/** The network of kind ipsec, in a fleet of three hosts. */
import t, { type Test } from 'tap'
import { DATA, until } from '../../lab/fleet.ts'
import { inPrivateNetwork } from '../../lab/private-network.ts'
import type { VirtualHost } from '../../lab/virtual-host.ts'
import type { NetworkFleet } from './matrix.ts'
import { testNetwork } from './network-life.ts'

t.setTimeout(600_000)

const skip = inPrivateNetwork(import.meta.filename)

/** As whom a host knows those at the other ends of its tunnels. */
async function partners(host: VirtualHost): Promise<string[]> {
  const socket = `unix://${DATA}/agent/network/ipsec/vici`
  const { stdout } = await host.run('swanctl', ['--list-sas', '--uri', socket])
  return [...stdout.matchAll(/^\s+remote '([^']+)'/gm)].map(([, name = '']) => name)
}

async function testCertificates(t: Test, world: NetworkFleet): Promise<void> {
  await t.test('hosts prove by certificates who they are', async t => {
    const hosts = await world.fleet.list('hosts')
    await world.choose('ipsec', { ipsec: { authentication: 'certificate' } })
    for (const host of world.members) {
      const others = hosts.filter(({ hostname }) => hostname !== host.name).map(({ uuid }) => `CN=${uuid}`)
      await until(`${host.name} knows the others by their certificates`, 60_000, async () => {
        const found = new Set(await partners(host))
        return found.size === others.length && others.every(other => found.has(other))
      })
    }
    t.strictSame(await world.failures(), [])
  })
}

t.test('ipsec', { skip, timeout: 590_000 }, t => testNetwork(t, 'is', 'ipsec', {}, testCertificates))
