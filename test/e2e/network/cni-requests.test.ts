/** What runtimes ask of the plugin beside a place in the network, and other plugins around ours. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import t from 'tap'
import type { HostNetwork } from '../../../agent/network/index.ts'
import { createLogger, runCommand } from '../../../kit/index.ts'
import { CniRuntime } from '../../../netplugins/cni/index.ts'
import { inPrivateNetwork } from '../../lab/private-network.ts'
import { type HostDirectories, makeHostDirectories, makeHostNetwork, makeRuntime, SETTINGS } from './host.ts'
import {
  addNamespace,
  connectOutside,
  deleteNamespace,
  HOST_ADDRESS,
  kernelState,
  namespacePath,
  Peer,
  run,
  runIn,
} from './lab.ts'

/** What a plugin prints: a result or an error. */
interface PluginOutput {
  readonly ips?: readonly { readonly address: string }[]
  readonly interfaces?: readonly { readonly mtu?: number; readonly mac?: string }[]
  readonly code?: number
  readonly msg?: string
}

const skip = inPrivateNetwork(import.meta.filename)

t.setTimeout(180_000)

/** Debian's package containernetworking-plugins. */
const DEBIAN_PLUGINS = '/usr/lib/cni'
const lacksDebian = existsSync(DEBIAN_PLUGINS) ? false : `${DEBIAN_PLUGINS} is not installed`

const VERSIONS = ['0.3.1', '0.4.0', '1.0.0', '1.1.0']

let directories: HostDirectories
let network: HostNetwork

t.before(async () => {
  if (skip !== false) return
  directories = await makeHostDirectories()
  network = makeHostNetwork(directories)
  await network.start()
  await network.configure(SETTINGS)
})

t.teardown(async () => {
  if (skip !== false) return
  await network.uninstall()
  rmSync(path.dirname(directories.dataDirectory), { recursive: true })
})

function attachment(name: string) {
  return { containerId: name, namespace: namespacePath(name), interfaceName: 'eth0' }
}

/** Executes our plugin with CNI_ARGS. */
async function execute(command: string, name: string, args: string, extra: Record<string, unknown> = {}) {
  const { exitCode, stdout } = await runCommand(directories.pluginFile, [], {
    input: JSON.stringify({
      cniVersion: '1.1.0',
      name: 'drover',
      type: 'drover',
      socket: directories.cniSocket,
      ...extra,
    }),
    environment: {
      CNI_COMMAND: command,
      CNI_PATH: '/opt/cni/bin',
      CNI_IFNAME: 'eth0',
      CNI_CONTAINERID: name,
      CNI_NETNS: namespacePath(name),
      CNI_ARGS: args,
    },
    acceptedExitCodes: [0, 1],
  })
  return { exitCode, output: JSON.parse(stdout.trim() === '' ? '{}' : stdout) as PluginOutput }
}

t.test('arguments in the environment', { skip }, async t => {
  addNamespace('args')
  const before = kernelState()
  const { output } = await execute(
    'ADD',
    'args',
    'IgnoreUnknown=1;DOCKER=true;IPAddress=10.42.0.99/16;MACAddress=02-00-01-aa-bb-cc;LinkMTUOverhead=98;FOO=bar',
  )
  t.equal(output.ips?.[0]?.address, '10.42.0.99/16')
  t.equal(output.interfaces?.[2]?.mtu, 1402)
  t.match(runIn('args', 'ip', 'link', 'show', 'eth0'), /mtu 1402[\s\S]*02:00:01:aa:bb:cc/)
  t.equal((await execute('CHECK', 'args', '', { prevResult: output })).exitCode, 0)
  t.equal((await execute('DEL', 'args', 'not;pairs')).exitCode, 0, 'a DEL works whatever it is told')
  t.match((await execute('ADD', 'args', 'FOO=bar')).output, { code: 4, msg: /FOO/ })
  t.match((await execute('ADD', 'args', 'IP=10.43.0.1')).output, { code: 104, msg: /10\.43\.0\.1/ })
  t.match((await execute('ADD', 'args', 'MAC=01:00:5e:00:00:01')).output, { code: 7, msg: /MAC/ })
  const configured = await execute('ADD', 'args', '', { args: { cni: { ips: ['10.42.0.98'] } } })
  t.equal(configured.output.ips?.[0]?.address, '10.42.0.98/16')
  const capability = { runtimeConfig: { ips: ['10.42.0.97'] } }
  t.equal((await execute('DEL', 'args', '')).exitCode, 0)
  t.equal(
    (await execute('ADD', 'args', 'IP=10.42.0.96', capability)).output.ips?.[0]?.address,
    '10.42.0.97/16',
  )
  await execute('DEL', 'args', '')
  t.strictSame(kernelState(), before)
  deleteNamespace('args')
})

t.test('neighbours are told when an address moves', { skip }, async t => {
  const runtime = makeRuntime(directories)
  const names = ['before', 'after', 'neighbour']
  names.forEach(addNamespace)
  const address = '10.42.0.90'
  await runtime.add({ ...attachment('before'), address })
  await runtime.add(attachment('neighbour'))
  const macOf = () =>
    (JSON.parse(runIn('neighbour', 'ip', '-json', 'neighbour', 'show', address)) as { lladdr?: string }[])[0]
      ?.lladdr
  runIn('neighbour', 'ping', '-c', '1', '-w', '5', address)
  t.equal(macOf(), '02:d0:0a:2a:00:5a')
  await runtime.delete(attachment('before'))
  await runtime.add({ ...attachment('after'), address, mac: '02:00:01:00:00:77' })
  t.equal(macOf(), '02:00:01:00:00:77', 'before a packet was sent')
  runIn('neighbour', 'ping', '-c', '1', '-w', '5', address)
  for (const name of names) {
    await runtime.delete(attachment(name))
    deleteNamespace(name)
  }
})

t.test('bandwidth', { skip }, async t => {
  const runtime = makeRuntime(directories)
  addNamespace('slow')
  await runtime.add({ ...attachment('slow'), bandwidth: { ingressRate: 8_000_000, egressRate: 16_000_000 } })
  const host = network.attachments().find(entry => entry.containerId === 'slow')?.hostInterface ?? ''
  t.match(run('tc', 'qdisc', 'show', 'dev', host), /tbf.*rate 8Mbit/)
  t.match(runIn('slow', 'tc', 'qdisc', 'show', 'dev', 'eth0'), /tbf.*rate 16Mbit/)
  const peer = await Peer.start('slow', 'slow')
  await peer.listen('tcp', 80)
  const outside = await Peer.start('host')
  t.match(await outside.transfer(network.attachments()[0]?.address ?? '', 80, 200_000), /sent 200000/)
  await peer.stop()
  await outside.stop()
  await runtime.delete(attachment('slow'))
  t.match(await execute('ADD', 'slow', '', { runtimeConfig: { bandwidth: { ingressRate: -1 } } }), {
    exitCode: 1,
    output: { code: 7 },
  })
  t.strictSame(network.attachments(), [])
  deleteNamespace('slow')
})

/** All rules, in no order: the agent may be about to put its jumps before those of others. */
const rules = () =>
  run('iptables-save')
    .replace(/\[\d+:\d+\]|^#.*$/gm, '')
    .split('\n')
    .toSorted()

t.test("Debian's plugins around ours, by every version and verb", { skip: skip || lacksDebian }, async t => {
  const chain = {
    configurationDirectory: `${directories.cniSocket}.chain`,
    binaryDirectory: `${directories.cniSocket}.bin`,
    cacheDirectory: `${directories.cniSocket}.cache`,
  }
  for (const directory of Object.values(chain)) mkdirSync(directory)
  for (const name of readdirSync(DEBIAN_PLUGINS))
    symlinkSync(path.join(DEBIAN_PLUGINS, name), path.join(chain.binaryDirectory, name))
  symlinkSync(directories.pluginFile, path.join(chain.binaryDirectory, 'drover'))
  const ours = { type: 'drover', socket: directories.cniSocket, capabilities: { ips: true, mac: true } }
  const cases: Record<string, unknown[]> = {
    tuning: [ours, { type: 'tuning', sysctl: { 'net.ipv4.conf.eth0.arp_notify': '1' } }],
    portmap: [ours, { type: 'portmap', capabilities: { portMappings: true }, snat: true }],
    firewall: [ours, { type: 'firewall', backend: 'iptables' }],
    sbr: [ours, { type: 'sbr' }],
    'loopback before, tuning after': [{ type: 'loopback' }, ours, { type: 'tuning' }],
  }
  for (const version of VERSIONS.slice(0, 3)) {
    for (const [name, plugins] of Object.entries(cases)) {
      // Debian's does not speak it.
      if (name === 'firewall' && version === '0.3.1') continue
      addNamespace('chained')
      const before = rules()
      writeFileSync(
        path.join(chain.configurationDirectory, '10-chain.conflist'),
        JSON.stringify({ cniVersion: version, name: 'chain', plugins }),
      )
      const runtime = new CniRuntime({ ...chain, log: createLogger('chain', 'silent') })
      const result = await runtime.add({
        ...attachment('chained'),
        portMappings: [{ hostPort: 8099, containerPort: 80 }],
        mac: '02:00:01:00:00:09',
        arguments: { K8S_POD_NAME: 'chained', K8S_POD_NAMESPACE: 'default' },
      })
      t.ok(
        result.ips.some(ip => ip.address.startsWith('10.42.')),
        `${version} ${name}: ADD`,
      )
      // Debian's looks for IPv6 rules of a container without IPv6.
      if (name !== 'portmap') await t.resolves(runtime.check('chained', 'eth0'), `${version} ${name}: CHECK`)
      await runtime.delete(attachment('chained'))
      // Debian's sbr fails in a namespace whose interface is gone.
      if (name !== 'sbr') await runtime.delete(attachment('chained'))
      t.strictSame(network.attachments(), [], `${version} ${name}: DEL twice`)
      if (name !== 'sbr') await runtime.add(attachment('chained'))
      deleteNamespace('chained')
      await t.resolves(
        runtime.delete({ containerId: 'chained', interfaceName: 'eth0' }).catch(error => {
          if (name !== 'sbr') throw error
        }),
        `${version} ${name}: DEL of a namespace that is gone`,
      )
      t.strictSame(readdirSync(chain.cacheDirectory), [])
      if (name !== 'portmap' && name !== 'firewall')
        t.strictSame(rules(), before, `${version} ${name}: rules`)
    }
  }
})

t.test('a port that a plugin beside ours publishes', { skip: skip || lacksDebian }, async t => {
  const chain = {
    configurationDirectory: `${directories.cniSocket}.ports`,
    binaryDirectory: `${directories.cniSocket}.ports-bin`,
    cacheDirectory: `${directories.cniSocket}.ports-cache`,
  }
  for (const directory of Object.values(chain)) mkdirSync(directory)
  symlinkSync(path.join(DEBIAN_PLUGINS, 'portmap'), path.join(chain.binaryDirectory, 'portmap'))
  symlinkSync(directories.pluginFile, path.join(chain.binaryDirectory, 'drover'))
  const plugins = [
    { type: 'drover', socket: directories.cniSocket },
    { type: 'portmap', capabilities: { portMappings: true }, snat: true },
  ]
  writeFileSync(
    path.join(chain.configurationDirectory, '10-ports.conflist'),
    JSON.stringify({ cniVersion: '1.0.0', name: 'ports', plugins }),
  )
  connectOutside()
  // As Docker makes it.
  run('iptables', '-P', 'FORWARD', 'DROP')
  addNamespace('led')
  const runtime = new CniRuntime({ ...chain, log: createLogger('ports', 'silent') })
  await runtime.add({ ...attachment('led'), portMappings: [{ hostPort: 8098, containerPort: 80 }] })
  const led = await Peer.start('led', 'led')
  await led.listen('tcp', 80)
  const outside = await Peer.start('outside', 'outside')
  t.match(await outside.ask('tcp', HOST_ADDRESS, 8098), /^led sees 192\.0\.2\.9/)
  const address = network.attachments()[0]?.address ?? ''
  runIn('outside', 'ip', 'route', 'add', '10.42.0.0/16', 'via', HOST_ADDRESS)
  await t.rejects(outside.ask('tcp', address, 80, 1_000), { message: 'silence' }, 'nothing else comes in')
  await led.stop()
  await outside.stop()
  await runtime.delete(attachment('led'))
  run('iptables', '-P', 'FORWARD', 'ACCEPT')
  // A namespace that is deleted takes its links along some time later.
  run('ip', 'link', 'delete', 'eth0')
  deleteNamespace('led')
  deleteNamespace('outside')
})

t.test('a plugin that is killed in the middle of an ADD, then GC', { skip }, async t => {
  addNamespace('cut')
  const before = kernelState()
  for (let round = 0; round < 8; round += 1) {
    const child = spawn(directories.pluginFile, [], {
      stdio: ['pipe', 'ignore', 'ignore'],
      env: {
        ...process.env,
        CNI_COMMAND: 'ADD',
        CNI_PATH: '/x',
        CNI_IFNAME: 'eth0',
        CNI_CONTAINERID: 'cut',
        CNI_NETNS: namespacePath('cut'),
      },
    })
    const ended = once(child, 'exit')
    child.stdin.on('error', () => undefined)
    child.stdin.end(
      JSON.stringify({ cniVersion: '1.1.0', name: 'drover', type: 'drover', socket: directories.cniSocket }),
    )
    await new Promise(resolve => setTimeout(resolve, round * 4))
    child.kill('SIGKILL')
    await ended
    const collect = await execute('GC', 'cut', '', { 'cni.dev/valid-attachments': [] })
    t.equal(collect.exitCode, 0)
    t.equal((await execute('DEL', 'cut', '')).exitCode, 0)
    t.strictSame(kernelState(), before)
  }
  deleteNamespace('cut')
})

t.test('hostile names', { skip }, async t => {
  addNamespace('plain')
  const runtime = makeRuntime(directories)
  for (const containerId of [
    '../../etc/passwd',
    'a b',
    'a;reboot',
    '$(id)',
    `${'x'.repeat(256)}`,
    '-rf',
    '',
  ]) {
    await t.rejects(
      runtime.add({ ...attachment('plain'), containerId }),
      { code: 'InvalidCniEnvironment' },
      containerId,
    )
  }
  for (const interfaceName of ['a/b', 'sixteen-letters-', '..', 'a b', 'a:1']) {
    await t.rejects(
      runtime.add({ ...attachment('plain'), interfaceName }),
      { code: 'InvalidCniEnvironment' },
      interfaceName,
    )
  }
  t.strictSame(network.attachments(), [])
  deleteNamespace('plain')
})
