/**
 * A container asks 169.254.169.250: two network namespaces behind a bridge stand for containers, real resolvers and
 * HTTP clients ask from inside.
 */
import { execFileSync } from 'node:child_process'
import { accessSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import path from 'node:path'
import t, { type Test } from 'tap'
import {
  LateListener,
  LocalAddresses,
  MetadataModel,
  MetadataServer,
  NameDirectory,
  Requesters,
  SignalBoard,
} from '../../../agent/metadata/index.ts'
import { DnsServer, Forwarder } from '../../../dns/index.ts'
import { runCommand } from '../../../kit/index.ts'
import { METADATA_ADDRESS } from '../../../protocol/index.ts'
import { inPrivateNetwork } from '../../lab/private-network.ts'
import { container, environment, host, service, stack } from '../../unit/agent/metadata/objects.ts'
import { log, temporaryDirectory } from '../../unit/server/metadata/world.ts'

const skip = inPrivateNetwork(import.meta.filename)

function missing(...commands: string[]): string | false {
  const found = (command: string) =>
    ['/usr/bin', '/bin', '/usr/sbin'].some(directory => {
      try {
        accessSync(path.join(directory, command))
        return true
      } catch {
        return false
      }
    })
  const absent = commands.filter(command => !found(command))
  return absent.length === 0 ? false : `needs ${absent.join(', ')}`
}

const ip = (...args: string[]) => execFileSync('ip', args)

/** A namespace behind the bridge `br-test`, like a container's. */
function addContainer(name: string, address: string): void {
  ip('netns', 'add', name)
  ip('link', 'add', `veth-${name}`, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', name)
  ip('link', 'set', `veth-${name}`, 'master', 'br-test', 'up')
  ip('-n', name, 'link', 'set', 'lo', 'up')
  ip('-n', name, 'address', 'add', `${address}/24`, 'dev', 'eth0')
  ip('-n', name, 'link', 'set', 'eth0', 'up')
  ip('-n', name, 'route', 'add', 'default', 'via', '198.51.100.1')
}

if (skip === false) {
  ip('link', 'add', 'br-test', 'type', 'bridge')
  ip('address', 'add', '198.51.100.1/24', 'dev', 'br-test')
  ip('link', 'set', 'br-test', 'up')
  addContainer('c1', '198.51.100.11')
  addContainer('c2', '198.51.100.12')
  // Its neighbour's network is no bridge of the host.
  ip('netns', 'add', 'outside')
  ip('link', 'add', 'uplink', 'type', 'veth', 'peer', 'name', 'eth0', 'netns', 'outside')
  ip('address', 'add', '203.0.113.1/24', 'dev', 'uplink')
  ip('link', 'set', 'uplink', 'up')
  ip('-n', 'outside', 'address', 'add', '203.0.113.2/24', 'dev', 'eth0')
  ip('-n', 'outside', 'link', 'set', 'eth0', 'up')
  ip('-n', 'outside', 'route', 'add', 'default', 'via', '203.0.113.1')
}

const production = environment('Production')
const node = host('node1')
const shop = stack('shop', production)
const web = service('web', shop, { links: [{ alias: 'self-link', name: 'web' }] })
const first = container('shop-web-1', web, { hostUuid: node.uuid, primaryIp: '198.51.100.11' })
const second = container('shop-web-2', web, { hostUuid: node.uuid, primaryIp: '198.51.100.12' })

/** Everything that listens, as an agent wires it. */
async function startAgent(t: Test): Promise<MetadataModel> {
  const model = new MetadataModel()
  const signals = new SignalBoard(model)
  const addresses = new LocalAddresses({ isContainerBridge: name => name.startsWith('br-') })
  const requesters = new Requesters({ model, signals, addresses })
  requesters.setHost(node.uuid)
  model.apply([production, node, shop, web, first], [])
  const http = new MetadataServer({ host: METADATA_ADDRESS, port: 80, model, signals, requesters, log })
  const clients = new NameDirectory(model, requesters)
  const forwarder = new Forwarder({ upstreams: [] })
  const dns = new DnsServer({ host: METADATA_ADDRESS, port: 53, clients, forwarder, log })
  const listeners = [http, dns].map(daemon => new LateListener({ daemon, log }))
  for (const listener of listeners) await listener.start()
  t.teardown(() => Promise.all(listeners.map(listener => listener.stop())))
  // The network comes later than the agent.
  ip('address', 'add', `${METADATA_ADDRESS}/32`, 'dev', 'lo')
  t.teardown(() => ip('address', 'delete', `${METADATA_ADDRESS}/32`, 'dev', 'lo'))
  await Promise.all(listeners.map(({ listening }) => listening))
  return model
}

/** Runs a program in a namespace. */
async function inside(name: string, command: string, ...args: string[]): Promise<string> {
  const options = { deadline: 15_000, acceptedExitCodes: Array.from({ length: 256 }, (_, code) => code) }
  const { stdout, stderr } = await runCommand(
    'nsenter',
    [`--net=/run/netns/${name}`, command, ...args],
    options,
  )
  return stdout === '' ? stderr : stdout
}

/** Runs a program in a namespace, with a resolv.conf of its own. */
async function resolving(name: string, resolvConf: string, ...command: string[]): Promise<string> {
  const script = 'mount --bind "$1" /etc/resolv.conf && shift && exec "$@"'
  return await inside(name, 'unshare', '--mount', 'sh', '-c', script, 'sh', resolvConf, ...command)
}

const curl = (name: string, url: string) => inside(name, 'curl', '-s', '-m', '10', '--noproxy', '*', url)

t.test('HTTP from containers', { skip: skip || missing('curl', 'nsenter') }, async t => {
  const model = await startAgent(t)
  t.equal(await curl('c1', `http://${METADATA_ADDRESS}/latest/self/container/name`), 'shop-web-1')
  const newcomer = curl('c2', `http://${METADATA_ADDRESS}/latest/self/container/name`)
  t.equal(await curl('c1', `http://${METADATA_ADDRESS}/latest/self/service/containers`), '0=shop-web-1\n')
  model.apply([second], [])
  t.equal(await newcomer, 'shop-web-2', 'who is new is answered when it is known')
  t.equal(await curl('outside', `http://${METADATA_ADDRESS}/latest/self/container/name`), 'Forbidden')
})

t.test(
  'the resolver of the C library',
  { skip: skip || missing('getent', 'unshare', 'nsenter') },
  async t => {
    const model = await startAgent(t)
    model.apply([second], [])
    const directory = await temporaryDirectory(t)
    const search =
      'shop.production.discover.internal production.discover.internal discover.internal rancher.internal'
    for (const ndots of [1, 2, 5]) {
      const resolvConf = path.join(directory, `resolv-${ndots}.conf`)
      await writeFile(
        resolvConf,
        `nameserver ${METADATA_ADDRESS}\nsearch ${search}\noptions ndots:${ndots}\n`,
      )
      const addresses = async (host: string, of = 'c1') => {
        const output = await resolving(of, resolvConf, 'getent', 'ahosts', host)
        return [...new Set(output.matchAll(/^(\S+)\s+STREAM/gm).map(match => match[1]))].toSorted()
      }
      const both = ['198.51.100.11', '198.51.100.12']
      for (const host of [
        'web',
        'web.shop',
        'web.shop.production',
        'web.shop.rancher.internal',
        'self-link',
      ]) {
        t.same(await addresses(host), both, `${host} with ndots ${ndots}`)
      }
      t.same(await addresses('shop-web-2', 'c2'), ['198.51.100.12'])
      t.same(await addresses('rancher-metadata'), [METADATA_ADDRESS])
      t.same(await addresses('nobody.shop'), [])
    }
  },
)

t.test('busybox', { skip: skip || missing('busybox', 'unshare', 'nsenter') }, async t => {
  await startAgent(t)
  const directory = await temporaryDirectory(t)
  const resolvConf = path.join(directory, 'resolv.conf')
  await writeFile(resolvConf, `nameserver ${METADATA_ADDRESS}\n`)
  const output = await resolving('c1', resolvConf, 'busybox', 'nslookup', 'web')
  t.match(output, /198\.51\.100\.11/, 'names are found without any search list')
  const url = 'http://rancher-metadata/latest/self/stack/name'
  t.equal(await resolving('c1', resolvConf, 'busybox', 'wget', '-q', '-O', '-', url), 'shop')
})

t.test('somebody outside gets no names', { skip: skip || missing('dig', 'nsenter') }, async t => {
  await startAgent(t)
  const dig = (name: string, host: string) =>
    inside(name, 'dig', '+tries=1', '+time=5', `@${METADATA_ADDRESS}`, host, 'A')
  t.match(await dig('c1', 'web'), /ANSWER: 1,/)
  t.match(await dig('outside', 'web.shop.production.discover.internal'), /status: REFUSED/)
})
