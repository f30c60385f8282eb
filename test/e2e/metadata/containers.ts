/**
 * Two network namespaces behind a bridge stand for containers, a third for somebody outside; everything that an agent
 * listens with is wired as an agent wires it. For test files that run in a private network.
 */
import { execFileSync } from 'node:child_process'
import { accessSync } from 'node:fs'
import path from 'node:path'
import type { Test } from 'tap'
import {
  LateListener,
  LocalAddresses,
  MetadataModel,
  MetadataServer,
  NameDirectory,
  Requesters,
  SignalBoard,
} from '../../../agent/metadata/index.ts'
import { DnsServer, Forwarder, type Upstream } from '../../../dns/index.ts'
import { runCommand } from '../../../kit/index.ts'
import { METADATA_ADDRESS } from '../../../protocol/index.ts'
import { container, environment, host, service, stack } from '../../unit/agent/metadata/objects.ts'
import { log } from '../../unit/server/metadata/world.ts'

/** The reason to skip a test that needs commands which are not there; false when all are. */
export function missing(...commands: string[]): string | false {
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

/** The bridge, the namespaces `c1` and `c2` behind it, and `outside` elsewhere. */
export function makeNamespaces(): void {
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
export const second = container('shop-web-2', web, { hostUuid: node.uuid, primaryIp: '198.51.100.12' })

/** Everything that listens, as an agent wires it. @param upstreams name servers of others */
export async function startAgent(t: Test, upstreams: readonly Upstream[] = []): Promise<MetadataModel> {
  const model = new MetadataModel()
  const signals = new SignalBoard(model)
  const addresses = new LocalAddresses({ isContainerBridge: name => name.startsWith('br-') })
  const requesters = new Requesters({ model, signals, addresses })
  requesters.setHost(node.uuid)
  model.apply([production, node, shop, web, first], [])
  const http = new MetadataServer({ host: METADATA_ADDRESS, port: 80, model, signals, requesters, log })
  const clients = new NameDirectory(model, requesters)
  const forwarder = new Forwarder({ upstreams })
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

/** Runs a program in a namespace. @returns what it said, or what it complained of when it said nothing */
export async function inside(name: string, command: string, ...args: string[]): Promise<string> {
  const options = { deadline: 15_000, acceptedExitCodes: Array.from({ length: 256 }, (_, code) => code) }
  const { stdout, stderr } = await runCommand(
    'nsenter',
    [`--net=/run/netns/${name}`, command, ...args],
    options,
  )
  return stdout === '' ? stderr : stdout
}

/** Runs a program in a namespace, with a resolv.conf of its own. @param resolvConf the path of that file */
export async function resolving(
  name: string,
  resolvConf: string,
  ...command: readonly string[]
): Promise<string> {
  const script = 'mount --bind "$1" /etc/resolv.conf && shift && exec "$@"'
  return await inside(name, 'unshare', '--mount', 'sh', '-c', script, 'sh', resolvConf, ...command)
}
