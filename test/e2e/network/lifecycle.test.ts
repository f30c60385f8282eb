/** What happens to a host's network over time: many containers, crashes, interference, its end. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import path from 'node:path'
import t from 'tap'
import type { HostNetwork } from '../../../agent/network/index.ts'
import type { CniRuntime } from '../../../netplugins/cni/index.ts'
import { inPrivateNetwork } from '../../lab/private-network.ts'
import {
  BRIDGE,
  type HostDirectories,
  METADATA,
  makeHostDirectories,
  makeHostNetwork,
  makeRuntime,
  SETTINGS,
} from './host.ts'
import { addNamespace, deleteNamespace, kernelState, namespacePath, Peer, run } from './lab.ts'

const skip = inPrivateNetwork(import.meta.filename)

// Hundreds of processes are started; on a busy machine that takes longer than the usual limit.
t.setTimeout(180_000)

/** Waits until `condition` holds; the test's own time limit is the deadline. */
async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise(resolve => setTimeout(resolve, 10))
}

function attachment(name: string) {
  return { containerId: name, namespace: namespacePath(name), interfaceName: 'eth0' }
}

function ourLinks(): string[] {
  const links = JSON.parse(run('ip', '-json', 'link', 'show')) as { ifname: string }[]
  return links.map(link => link.ifname).filter(name => name.startsWith('vethr'))
}

interface World {
  readonly directories: HostDirectories
  readonly network: HostNetwork
  readonly runtime: CniRuntime
}

/** A configured host network that is gone without a trace when the test ends. */
async function makeWorld(t: { teardown(work: () => Promise<void>): void }): Promise<World> {
  const directories = await makeHostDirectories()
  const network = makeHostNetwork(directories)
  await network.start()
  await network.configure(SETTINGS)
  t.teardown(async () => {
    await network.uninstall()
    rmSync(path.dirname(directories.dataDirectory), { recursive: true })
  })
  return { directories, network, runtime: makeRuntime(directories) }
}

t.test('50 containers at once, and gone again', { skip }, async t => {
  const { network, runtime } = await makeWorld(t)
  const names = Array.from({ length: 50 }, (_, n) => `many-${n}`)
  names.forEach(addNamespace)
  const before = kernelState()
  let changes = 0
  network.onAttachmentsChanged(() => (changes += 1))
  const results = await Promise.all(
    names.map((name, n) =>
      runtime.add({ ...attachment(name), portMappings: [{ hostPort: 20_000 + n, containerPort: 80 }] }),
    ),
  )
  t.equal(new Set(results.map(result => result.ips[0]?.address)).size, 50, 'no address twice')
  t.equal(network.attachments().length, 50)
  t.equal(changes, 50)
  t.equal(ourLinks().length, 50)
  await Promise.all(names.map(name => runtime.check(name, 'eth0')))
  await Promise.all(names.map(name => runtime.delete(attachment(name))))
  t.strictSame(network.attachments(), [])
  names.forEach(deleteNamespace)
  t.strictSame(kernelState(), before)
})

t.test('a full block, a low-water mark, another block', { skip }, async t => {
  const { network, runtime } = await makeWorld(t)
  const low: number[] = []
  network.onAddressesLow(free => low.push(free))
  await network.configure({ ...SETTINGS, blocks: ['10.42.0.0/30'] })
  const names = ['full-0', 'full-1', 'full-2']
  names.forEach(addNamespace)
  const [first, second] = [await runtime.add(attachment('full-0')), await runtime.add(attachment('full-1'))]
  t.strictSame(
    [first.ips[0]?.address, second.ips[0]?.address],
    ['10.42.0.2/16', '10.42.0.3/16'],
    'neither network nor gateway',
  )
  await t.rejects(runtime.add(attachment('full-2')), { code: 'TryAgainLater', message: /every address/ })
  t.strictSame(low, [1, 0, 0])
  await network.configure({ ...SETTINGS, blocks: ['10.42.0.0/30', '10.42.7.64/26'] })
  t.equal((await runtime.add(attachment('full-2'))).ips[0]?.address, '10.42.7.64/16')
  for (const name of names) await runtime.delete(attachment(name))
  names.forEach(deleteNamespace)
})

/** Starts a host network in a process of its own, which ends with the test at the latest. */
async function startAgent(
  t: { teardown(work: () => void): void },
  directories: HostDirectories,
): Promise<ChildProcess> {
  const program = path.join(import.meta.dirname, 'agent-process.ts')
  const child = spawn(process.execPath, [program, JSON.stringify(directories)], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  t.teardown(() => {
    child.kill('SIGKILL')
  })
  await once(child, 'message')
  return child
}

async function kill(child: ChildProcess): Promise<void> {
  const ended = once(child, 'exit')
  child.kill('SIGKILL')
  await ended
}

t.test('kill -9 in the middle of ADDs', { skip }, async t => {
  const directories = await makeHostDirectories()
  const runtime = makeRuntime(directories)
  const names = Array.from({ length: 12 }, (_, n) => `killed-${n}`)
  names.forEach(addNamespace)
  const ports = (n: number) => [{ hostPort: 21_000 + n, containerPort: 80 }]
  let agent = await startAgent(t, directories)
  let interrupted = 0
  // Each round kills the agent after one more of the ADDs has been answered, so in ever later phases of the others.
  for (let round = 0; round < 4; round += 1) {
    let answered = 0
    const reached = Promise.withResolvers<void>()
    const adds = names.map((name, n) =>
      runtime.add({ ...attachment(name), portMappings: ports(n) }).then(
        () => {
          answered += 1
          if (answered > round) reached.resolve()
          return true
        },
        () => false,
      ),
    )
    await reached.promise
    await kill(agent)
    const done = await Promise.all(adds)
    interrupted += done.filter(ok => !ok).length
    agent = await startAgent(t, directories)
    const links = ourLinks()
    t.equal(links.length, new Set(links).size)
    t.ok(links.length >= done.filter(Boolean).length, 'whoever was told success has a link')
    for (const [n, name] of names.entries()) if (done[n]) await runtime.check(name, 'eth0')
    // A runtime answers a failed ADD with a DEL.
    await Promise.all(names.map(name => runtime.delete(attachment(name))))
    t.strictSame(ourLinks(), [])
    t.strictSame(readdirSync(path.join(directories.dataDirectory, 'network', 'attachments')), [])
    t.strictSame(
      readdirSync(path.join(directories.dataDirectory, 'network', 'addresses')).filter(
        file => file !== 'cursor',
      ),
      [],
    )
  }
  t.ok(interrupted > 0, 'ADDs really were interrupted')
  const results = await Promise.all(
    names.map((name, n) => runtime.add({ ...attachment(name), portMappings: ports(n) })),
  )
  t.equal(new Set(results.map(result => result.ips[0]?.address)).size, names.length)
  names.forEach(deleteNamespace)
  await kill(agent)
  await makeHostNetwork(directories).uninstall()
  t.notMatch(run('iptables-save'), 'CATTLE_')
  rmSync(path.dirname(directories.dataDirectory), { recursive: true })
})

t.test('containers do not notice that the agent is away', { skip }, async t => {
  const directories = await makeHostDirectories()
  const runtime = makeRuntime(directories)
  for (const name of ['server', 'client']) addNamespace(name)
  let agent = await startAgent(t, directories)
  await runtime.add({ ...attachment('server'), portMappings: [{ hostPort: 8080, containerPort: 80 }] })
  const address = (await runtime.add(attachment('client'))).ips[0]?.address
  const [server, client, host] = [
    await Peer.start('server', 'server'),
    await Peer.start('client', 'client'),
    await Peer.start('host'),
  ]
  await server.listen('tcp', 80)
  run('ip', 'address', 'add', '192.0.2.1/24', 'dev', 'lo')
  t.match(await host.ask('tcp', '127.0.0.1', 8080), /^server/)
  const rules = run('iptables-save', '-t', 'nat').replace(/^#.*$/gm, '')
  await kill(agent)
  t.match(await client.ask('tcp', '192.0.2.1', 8080), /^server/)
  t.match(await host.ask('tcp', '192.0.2.1', 8080), /^server/)
  agent = await startAgent(t, directories)
  t.equal(
    run('iptables-save', '-t', 'nat')
      .replace(/^#.*$/gm, '')
      .replace(/\[\d+:\d+\]/g, ''),
    rules.replace(/\[\d+:\d+\]/g, ''),
  )
  t.match(await host.ask('tcp', '127.0.0.1', 8080), /^server/, 'the port on the loopback is taken again')
  t.match(await client.ask('tcp', '192.0.2.1', 8080), /^server/)
  await runtime.check('client', 'eth0')
  await runtime.delete(attachment('client'))
  t.not((await runtime.add(attachment('client'))).ips[0]?.address, address, 'addresses are reused late')
  for (const peer of [server, client, host]) await peer.stop()
  await kill(agent)
  const network = makeHostNetwork(directories)
  await network.start()
  t.equal(network.attachments().length, 2, 'nobody had to say what the network is')
  await network.uninstall()
  for (const name of ['server', 'client']) deleteNamespace(name)
  run('ip', 'address', 'delete', '192.0.2.1/24', 'dev', 'lo')
  rmSync(path.dirname(directories.dataDirectory), { recursive: true })
})

t.test('what others break is repaired', { skip }, async t => {
  const { network, runtime } = await makeWorld(t)
  for (const name of ['one', 'two']) addNamespace(name)
  const result = await runtime.add({
    ...attachment('one'),
    portMappings: [{ hostPort: 8080, containerPort: 80 }],
  })
  await runtime.add(attachment('two'))
  const address = result.ips[0]?.address.split('/')[0] ?? ''
  const [one, two] = [await Peer.start('one', 'one'), await Peer.start('two', 'two')]
  await one.listen('tcp', 80)
  t.match(await two.ask('tcp', address, 80), /^one/)
  const rules = () => kernelState().rules as string[]
  const good = rules()

  await t.test('the bridge deleted', async t => {
    run('ip', 'link', 'delete', BRIDGE)
    await until(() => two.reaches('tcp', address, 80))
    t.match(run('ip', '-4', 'address', 'show', BRIDGE), '10.42.0.1/16')
    await runtime.check('one', 'eth0')
  })
  await t.test('the bridge set down, and its address and MTU changed', async () => {
    run('ip', 'link', 'set', BRIDGE, 'down')
    run('ip', 'address', 'flush', 'dev', BRIDGE)
    run('ip', 'link', 'set', BRIDGE, 'mtu', '1000')
    await until(
      async () =>
        / mtu 1500 .* UP /.test(run('ip', 'link', 'show', BRIDGE)) && (await two.reaches('tcp', address, 80)),
    )
    await until(() => run('ip', '-4', 'address', 'show', BRIDGE).includes('10.42.0.1/16'))
  })
  await t.test('a link taken off the bridge', async () => {
    for (const link of ourLinks()) run('ip', 'link', 'set', link, 'nomaster')
    await until(() => two.reaches('tcp', address, 80))
  })
  await t.test('the metadata address deleted', async () => {
    run('ip', 'address', 'delete', `${METADATA}/32`, 'dev', 'lo')
    await until(() => run('ip', 'address', 'show', 'dev', 'lo').includes(METADATA))
  })
  await t.test('rules flushed, moved, deleted; those of others are left alone', async t => {
    const foreign = ['-N', 'FOREIGN']
    run('iptables', '-t', 'nat', ...foreign)
    run('iptables', '-t', 'nat', '-A', 'FOREIGN', '-p', 'tcp', '--dport', '1', '-j', 'RETURN')
    run('iptables', '-t', 'nat', '-I', 'PREROUTING', '1', '-j', 'FOREIGN')
    run('iptables', '-t', 'nat', '-F', 'CATTLE_PREROUTING')
    run('iptables', '-t', 'nat', '-D', 'CATTLE_OUTPUT', '1')
    run('iptables', '-I', 'FORWARD', '1', '-p', 'tcp', '--dport', '2', '-j', 'ACCEPT')
    run('iptables', '-A', 'CATTLE_FORWARD', '-j', 'DROP')
    run('iptables', '-A', 'CATTLE_USER', '-p', 'tcp', '--dport', '3', '-j', 'DROP')
    run('iptables', '-D', 'INPUT', '1')
    run('iptables', '-A', 'INPUT', '-j', 'CATTLE_INPUT')
    run('iptables', '-t', 'nat', '-A', 'POSTROUTING', '-j', 'CATTLE_NAT_POSTROUTING')
    await network.reconcileNow('docker restarted')
    network.requireReady()
    const repaired = rules()
    t.strictSame(
      repaired.filter(rule => rule.includes('CATTLE_') && !rule.includes('--dport 3')),
      good.filter(rule => rule.includes('CATTLE_')),
    )
    t.ok(repaired.includes('-A FOREIGN -p tcp -m tcp --dport 1 -j RETURN'))
    t.ok(repaired.includes('-A FORWARD -p tcp -m tcp --dport 2 -j ACCEPT'))
    t.ok(
      repaired.includes('-A CATTLE_USER -p tcp -m tcp --dport 3 -j DROP'),
      "the chain of the user is the user's",
    )
    const first = (chain: string) => repaired.find(rule => rule.startsWith(`-A ${chain} `))
    t.match(first('PREROUTING'), 'CATTLE_PREROUTING')
    t.match(first('INPUT'), 'CATTLE_INPUT')
    t.match(first('FORWARD'), 'CATTLE_USER')
    run('iptables', '-t', 'nat', '-D', 'PREROUTING', '-j', 'FOREIGN')
    run('iptables', '-t', 'nat', '-F', 'FOREIGN')
    run('iptables', '-t', 'nat', '-X', 'FOREIGN')
    run('iptables', '-D', 'FORWARD', '-p', 'tcp', '--dport', '2', '-j', 'ACCEPT')
  })
  await t.test('rules flushed, and nobody says so', async t => {
    const ours = () => rules().filter(rule => rule.includes('CATTLE_') && !rule.includes('--dport 3'))
    const wanted = good.filter(rule => rule.includes('CATTLE_'))
    for (const table of ['nat', 'filter']) run('iptables', '-t', table, '-F')
    run('iptables', '-P', 'FORWARD', 'DROP')
    await until(() => JSON.stringify(ours()) === JSON.stringify(wanted))
    run('ip', 'address', 'add', '192.0.2.1/24', 'dev', 'lo')
    t.match(
      await two.ask('tcp', '192.0.2.1', 8080),
      /^one/,
      'published ports work where nothing is forwarded',
    )
    run('ip', 'address', 'delete', '192.0.2.1/24', 'dev', 'lo')
    run('iptables', '-I', 'FORWARD', '1', '-p', 'tcp', '--dport', '2', '-j', 'ACCEPT')
    await until(
      () =>
        rules()
          .find(rule => rule.startsWith('-A FORWARD '))
          ?.includes('CATTLE_USER') === true,
    )
    run('iptables', '-D', 'FORWARD', '-p', 'tcp', '--dport', '2', '-j', 'ACCEPT')
    run('iptables', '-P', 'FORWARD', 'ACCEPT')
  })
  await t.test('a link and an address of nobody', async t => {
    run('ip', 'link', 'add', 'vethrabcdefabcd', 'type', 'veth', 'peer', 'name', 'nobody')
    await network.reconcileNow('test')
    t.notMatch(run('ip', 'link'), 'vethrabcdefabcd')
  })
  await t.test('a Docker network made and removed', async () => {
    const accepts = () =>
      run('iptables-save', '-t', 'filter').includes('-A CATTLE_METADATA -i br-0123456789ab -j RETURN')
    run('ip', 'link', 'add', 'br-0123456789ab', 'type', 'bridge')
    await until(accepts)
    run('ip', 'link', 'delete', 'br-0123456789ab')
    await until(() => !accepts())
  })
  for (const peer of [one, two]) await peer.stop()
  for (const name of ['one', 'two']) {
    await runtime.delete(attachment(name))
    deleteNamespace(name)
  }
})

t.test('a container that ends without a DEL', { skip }, async t => {
  const { directories, network, runtime } = await makeWorld(t)
  addNamespace('dying')
  await runtime.add({ ...attachment('dying'), portMappings: [{ hostPort: 8080, containerPort: 80 }] })
  deleteNamespace('dying')
  await until(() => network.attachments().length === 0)
  const addresses = () => readdirSync(path.join(directories.dataDirectory, 'network', 'addresses'))
  await until(() => addresses().join() === 'cursor')
  t.strictSame(ourLinks(), [])
  t.notMatch(run('iptables-save'), '8080')
  const free = createServer().listen(8080, '0.0.0.0')
  await once(free, 'listening')
  free.close()
  await runtime.delete({ containerId: 'dying', interfaceName: 'eth0' })

  addNamespace('dying')
  await runtime.add(attachment('dying'))
  await network.stop()
  deleteNamespace('dying')
  await until(() => ourLinks().length === 0)
  const restarted = makeHostNetwork(directories)
  await restarted.start()
  t.strictSame(restarted.attachments(), [], 'noticed at the next start')
  await restarted.stop()
})

t.test('a port that somebody took while the agent was away', { skip }, async t => {
  const { directories, network, runtime } = await makeWorld(t)
  addNamespace('robbed')
  await runtime.add({ ...attachment('robbed'), portMappings: [{ hostPort: 8080, containerPort: 80 }] })
  await network.stop()
  const thief = createServer().listen(8080, '0.0.0.0')
  await once(thief, 'listening')
  const restarted = makeHostNetwork(directories)
  await restarted.start()
  t.equal(restarted.attachments().length, 1)
  restarted.requireReady()
  const closed = once(thief, 'close')
  thief.close()
  await closed
  await restarted.reconcileNow('test')
  const refused = createServer().listen(8080, '0.0.0.0')
  const [error] = await once(refused, 'error')
  t.match(error, { code: 'EADDRINUSE' }, 'the agent holds it again')
  await restarted.stop()
  deleteNamespace('robbed')
})

t.test('uninstall leaves nothing', { skip }, async t => {
  for (const name of ['left', 'right']) addNamespace(name)
  run('iptables', '-A', 'INPUT', '-p', 'tcp', '--dport', '4', '-j', 'ACCEPT')
  const before = kernelState()
  const directories = await makeHostDirectories()
  const network = makeHostNetwork(directories)
  await network.start()
  await network.configure(SETTINGS)
  const runtime = makeRuntime(directories)
  await runtime.add({ ...attachment('left'), portMappings: [{ hostPort: 8080, containerPort: 80 }] })
  await runtime.add(attachment('right'))
  t.notSame(kernelState(), before)
  await network.uninstall()
  t.strictSame(kernelState(), before)
  t.strictSame(readdirSync(directories.configurationDirectory), [])
  t.strictSame(readdirSync(directories.binaryDirectory), [])
  t.notOk(existsSync(path.join(directories.dataDirectory, 'network')))
  t.notOk(existsSync(directories.cniSocket))
  await network.uninstall()
  await makeHostNetwork(directories).uninstall()
  t.strictSame(kernelState(), before, 'once more, and where it never was')
  for (const name of ['left', 'right']) deleteNamespace(name)
  rmSync(path.dirname(directories.dataDirectory), { recursive: true })
})
