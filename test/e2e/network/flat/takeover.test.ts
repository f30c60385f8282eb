/** A bridge takes the place of the host's interface, and gives it back, without losing the host. */
import { existsSync } from 'node:fs'
import path from 'node:path'
import t, { type Test } from 'tap'
import { FlatBridge, TakeoverJournal } from '../../../../netplugins/flat/index.ts'
import { RouteSocket } from '../../../../netplugins/netlink/index.ts'
import { inPrivateNetwork } from '../../../lab/private-network.ts'
import { Peer, run, runIn } from '../lab.ts'
import {
  configureHost,
  connectHost,
  disconnectHost,
  FAR,
  HOST,
  hostConfiguration,
  log,
  ROUTER,
} from './world.ts'

const skip = inPrivateNetwork(import.meta.filename)

// Many processes are started; on a busy machine that takes longer than the usual limit.
t.setTimeout(120_000)

interface Flat {
  readonly bridge: FlatBridge
  readonly file: string
  /** Another agent after this one ended. */
  readonly again: () => FlatBridge
}

function makeFlat(t: Test, gateway?: string): Flat {
  const directory = t.testdir()
  const socket = RouteSocket.open()
  t.teardown(() => socket.close())
  const again = () =>
    new FlatBridge({
      interface: 'eth0',
      bridge: 'flatbr0',
      ...(gateway === undefined ? {} : { gateway }),
      socket,
      journal: new TakeoverJournal(directory),
      log,
    })
  return { bridge: again(), file: path.join(directory, 'flat.json'), again }
}

/** What the host can do from outside and to outside. */
function checkReachable(t: Test, when: string): void {
  const ping = (...args: string[]) => run('ping', '-c1', '-W2', '-q', ...args)
  t.doesNotThrow(() => ping(ROUTER), `${when}: the router`)
  t.doesNotThrow(() => ping(FAR), `${when}: behind the router`)
  t.doesNotThrow(() => ping('-6', '2001:db8::254'), `${when}: by IPv6`)
  t.doesNotThrow(() => runIn('router', 'ping', '-c1', '-W2', '-q', HOST), `${when}: from the router`)
}

t.test('there and back again', { skip }, async t => {
  connectHost()
  t.teardown(disconnectHost)
  const before = hostConfiguration()
  const { bridge, file, again } = makeFlat(t)

  // A connection that goes on through all of it.
  const router = await Peer.start('router', 'router')
  const host = await Peer.start('host')
  await router.listen('tcp', 80)
  const transfer = host.transfer(ROUTER, 80, 64 * 1024 * 1024)
  t.equal(await bridge.ensure(), 1)
  t.equal(await transfer, `router sees ${HOST} sent ${64 * 1024 * 1024}`)
  await Promise.all([router.stop(), host.stop()])

  checkReachable(t, 'with the bridge')
  const during = JSON.stringify(hostConfiguration())
  t.equal(run('ip', 'address', 'show', 'dev', 'eth0', 'scope', 'global'), '', 'the interface has no address')
  const mac = (name: string) => /link\/ether (\S+)/.exec(run('ip', 'link', 'show', name))?.[1]
  t.equal(mac('flatbr0'), mac('eth0'))
  for (const line of before.routes4 as string[]) {
    if (!line.includes('dev eth0')) continue
    t.ok(during.includes(line.replaceAll('dev eth0', 'dev flatbr0')), line)
  }
  t.equal(await bridge.ensure(), 0)
  t.equal(await again().ensure(), 0, 'another agent finds it')

  await bridge.remove()
  t.strictSame(hostConfiguration(), before)
  checkReachable(t, 'without the bridge')
  t.notOk(existsSync(file))
  await bridge.remove()
  t.strictSame(hostConfiguration(), before)
})

t.test('what others change is noticed and repaired', { skip }, async t => {
  connectHost()
  t.teardown(disconnectHost)
  const { bridge } = makeFlat(t)
  await bridge.ensure()
  const changes: Record<string, () => void> = {
    'the interface released': () => run('ip', 'link', 'set', 'eth0', 'nomaster'),
    'the interface down': () => run('ip', 'link', 'set', 'eth0', 'down'),
    'an address back on the interface': () => run('ip', 'address', 'add', `${HOST}/24`, 'dev', 'eth0'),
    'another address': () => run('ip', 'address', 'add', '192.0.2.3/24', 'dev', 'eth0'),
    'another MAC address of the bridge': () =>
      run('ip', 'link', 'set', 'flatbr0', 'address', '02:00:00:00:00:07'),
    'the addresses gone': () => run('ip', 'address', 'flush', 'dev', 'flatbr0'),
    'the bridge deleted': () => run('ip', 'link', 'delete', 'flatbr0'),
  }
  for (const [name, change] of Object.entries(changes)) {
    change()
    t.ok((await bridge.ensure()) > 0, `${name}: repaired`)
    t.equal(await bridge.ensure(), 0, `${name}: once`)
    checkReachable(t, name)
  }
  await bridge.remove()
  checkReachable(t, 'in the end')
})

t.test('a router that stops answering', { skip }, async t => {
  connectHost()
  t.teardown(disconnectHost)
  const before = hostConfiguration()
  const { bridge, file } = makeFlat(t)
  // A switch that lets through nothing after the interface went into a bridge: here, the router hears nothing any more.
  const stop = setInterval(() => {
    if (existsSync(file)) runIn('router', 'ip', 'link', 'set', 'port', 'down')
  }, 1)
  await t.rejects(bridge.ensure(), { code: 'GatewaySilent', message: /flatbr0/ })
  clearInterval(stop)
  t.strictSame(hostConfiguration(), before)
  t.notOk(existsSync(file))
  runIn('router', 'ip', 'link', 'set', 'port', 'up')
  checkReachable(t, 'afterwards')
  await t.rejects(bridge.ensure(), { code: 'GatewaySilent' }, 'is not tried again soon')
  t.strictSame(hostConfiguration(), before)
})

t.test('a router that never answered', { skip }, async t => {
  connectHost()
  t.teardown(disconnectHost)
  const before = hostConfiguration()
  const { bridge, file } = makeFlat(t, '192.0.2.77')
  await t.rejects(bridge.ensure(), { code: 'GatewaySilent', message: /192\.0\.2\.77.*eth0/ })
  t.strictSame(hostConfiguration(), before)
  t.notOk(existsSync(file))
})

t.test('an agent that is killed at any point of the move', { skip }, async t => {
  connectHost()
  t.teardown(disconnectHost)
  const before = hostConfiguration()
  const { bridge, file, again } = makeFlat(t)
  await bridge.ensure()
  const record = await new TakeoverJournal(path.dirname(file)).read()
  if (record === undefined) throw new Error('expected a record')
  const moving = () => new TakeoverJournal(path.dirname(file)).write({ ...record, phase: 'moving' })
  const states: Record<string, () => void> = {
    'before the bridge': () => {},
    'with an empty bridge': () => run('ip', 'link', 'add', 'flatbr0', 'type', 'bridge'),
    'as a port, with its addresses': () => {
      run('ip', 'link', 'add', 'flatbr0', 'type', 'bridge')
      run('ip', 'link', 'set', 'eth0', 'master', 'flatbr0')
    },
    'with addresses on both': () => {
      run('ip', 'link', 'add', 'flatbr0', 'type', 'bridge')
      run('ip', 'link', 'set', 'eth0', 'master', 'flatbr0')
      run('ip', 'address', 'add', `${HOST}/24`, 'broadcast', '192.0.2.255', 'dev', 'flatbr0')
    },
    'without any address': () => run('ip', 'address', 'flush', 'dev', 'eth0'),
  }
  for (const [name, make] of Object.entries(states)) {
    await bridge.remove()
    make()
    await moving()
    await again().remove()
    t.strictSame(hostConfiguration(), before, `${name}: removed`)
    make()
    await moving()
    t.equal(await again().ensure(), 1, `${name}: begins again`)
    checkReachable(t, name)
  }
  await bridge.remove()
  t.strictSame(hostConfiguration(), before)
})

t.test('what is in the way, and what is missing', { skip }, async t => {
  connectHost()
  t.teardown(disconnectHost)
  const { bridge } = makeFlat(t)
  run('ip', 'link', 'add', 'flatbr0', 'type', 'bridge')
  const before = hostConfiguration()
  t.equal(await bridge.ensure(), 0, "somebody else's bridge is taken as it is")
  await bridge.remove()
  t.strictSame(hostConfiguration(), before)
  run('ip', 'link', 'delete', 'flatbr0')

  run('ip', 'route', 'add', '203.0.113.64/28', 'nexthop', 'via', ROUTER, 'nexthop', 'via', '192.0.2.253')
  const routes = hostConfiguration()
  await t.rejects(bridge.ensure(), { code: 'KernelRefused', message: /several next hops/ })
  t.strictSame(hostConfiguration(), routes)

  run('ip', 'link', 'set', 'eth0', 'down')
  run('ip', 'link', 'set', 'eth0', 'name', 'eth7')
  await t.rejects(bridge.ensure(), { code: 'InterfaceMissing', mend: /l2flat\.interface/ })
  run('ip', 'link', 'set', 'eth7', 'name', 'eth0')
  run('ip', 'address', 'flush', 'dev', 'eth0')
  configureHost()
})
