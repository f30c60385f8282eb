/** The plugin executable and the agent behind it, by every verb and version of the specification. */
import { once } from 'node:events'
import { existsSync, mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import path from 'node:path'
import t from 'tap'
import type { HostNetwork } from '../../../agent/network/index.ts'
import { runCommand } from '../../../kit/index.ts'
import { inPrivateNetwork } from '../../lab/private-network.ts'
import {
  GATEWAY,
  type HostDirectories,
  METADATA,
  makeHostDirectories,
  makeHostNetwork,
  makeRuntime,
  SETTINGS,
} from './host.ts'
import { addNamespace, deleteNamespace, kernelState, namespacePath, runIn } from './lab.ts'

const skip = inPrivateNetwork(import.meta.filename)

// Many processes are started; on a busy machine that takes longer than the usual limit.
t.setTimeout(120_000)

const VERSIONS = ['0.3.1', '0.4.0', '1.0.0', '1.1.0']

/** Debian's package containernetworking-plugins. */
const DEBIAN_PLUGINS = '/usr/lib/cni'

interface Outcome {
  readonly exitCode: number
  // biome-ignore lint/suspicious/noExplicitAny: whatever the plugin printed is under test
  readonly output: any
}

let directories: HostDirectories
let network: HostNetwork

/** Executes the plugin as a runtime does; not synchronously, because the agent is in this process. */
async function execute(
  command: string,
  configuration: unknown,
  environment: Record<string, string> = {},
): Promise<Outcome> {
  const { exitCode, stdout } = await runCommand(directories.pluginFile, [], {
    input: typeof configuration === 'string' ? configuration : JSON.stringify(configuration),
    environment: { CNI_COMMAND: command, CNI_PATH: '/opt/cni/bin', CNI_IFNAME: 'eth0', ...environment },
    acceptedExitCodes: [0, 1],
  })
  return { exitCode, output: stdout.trim() === '' ? undefined : JSON.parse(stdout) }
}

/** What the plugin printed when it failed. */
async function failure(...call: Parameters<typeof execute>): Promise<unknown> {
  const { exitCode, output } = await execute(...call)
  return exitCode === 0 ? undefined : output
}

function configuration(cniVersion: string, extra: Record<string, unknown> = {}): Record<string, unknown> {
  return { cniVersion, name: 'drover', type: 'drover', socket: directories.cniSocket, ...extra }
}

function container(name: string): Record<string, string> {
  return { CNI_CONTAINERID: name, CNI_NETNS: namespacePath(name) }
}

t.before(async () => {
  if (skip !== false) return
  directories = await makeHostDirectories()
  network = makeHostNetwork(directories)
})

t.teardown(async () => {
  if (skip !== false) return
  await network.stop()
  rmSync(path.dirname(directories.dataDirectory), { recursive: true })
})

t.test('VERSION needs no agent', { skip }, async t => {
  const answer = { cniVersion: '1.0.0', supportedVersions: VERSIONS }
  t.strictSame(await execute('VERSION', { cniVersion: '1.0.0' }), { exitCode: 0, output: answer })
})

t.test('without an agent the runtime is told to try again', { skip }, async t => {
  for (const command of ['ADD', 'DEL', 'CHECK', 'GC']) {
    const { exitCode, output } = await execute(command, configuration('1.1.0'), container('c1'))
    t.equal(exitCode, 1)
    t.match(output, { cniVersion: '1.1.0', code: 11, msg: /does not answer/ })
  }
  t.match(await failure('STATUS', configuration('1.1.0')), { code: 50 })
})

t.test('before it is configured the network is not ready', { skip }, async t => {
  await network.start()
  t.match(await failure('STATUS', configuration('1.1.0')), { code: 50, msg: /not configured/ })
  t.match(await failure('ADD', configuration('1.1.0'), container('c1')), { code: 11, msg: /not configured/ })
  t.equal(existsSync(directories.configurationDirectory), false, 'no configuration promises a network')
  await network.configure(SETTINGS)
  t.equal((await execute('STATUS', configuration('1.1.0'))).exitCode, 0)
  t.ok(readdirSync(directories.configurationDirectory).includes('10-drover.conflist'))
})

for (const version of VERSIONS) {
  t.test(`every verb in version ${version}`, { skip }, async t => {
    const name = `version-${version}`
    addNamespace(name)
    t.teardown(() => deleteNamespace(name))
    const before = kernelState()
    const add = await execute('ADD', configuration(version), container(name))
    t.equal(add.exitCode, 0)
    const [bridge, host, inside] = add.output.interfaces
    const address = add.output.ips[0].address
    t.match(address, /^10\.42\.0\.\d+\/16$/)
    t.strictSame(Object.keys(add.output), ['cniVersion', 'interfaces', 'ips', 'routes', 'dns'])
    t.equal(add.output.cniVersion, version)
    t.equal(bridge.name, 'drover0')
    t.match(host.name, /^vethr[0-9a-f]{10}$/)
    t.match(inside, { name: 'eth0', sandbox: namespacePath(name), mac: /^02:d0:0a:2a:00:/ })
    t.equal(inside.mtu, version === '1.1.0' ? 1500 : undefined)
    t.match(add.output.ips[0], { gateway: GATEWAY, interface: 2 })
    t.equal(add.output.ips[0].version, version < '1.0.0' ? '4' : undefined)
    t.strictSame(add.output.routes, [{ dst: '0.0.0.0/0', gw: GATEWAY }])
    t.strictSame(add.output.dns, { nameservers: [METADATA] })
    t.match(runIn(name, 'ip', '-4', 'address', 'show', 'dev', 'eth0'), address)
    t.match(runIn(name, 'ip', 'route'), `default via ${GATEWAY} dev eth0`)

    const again = await execute('ADD', configuration(version), container(name))
    t.match(again, { exitCode: 1, output: { cniVersion: version, code: 105, msg: /eth0 already/ } })

    const withResult = configuration(version, { prevResult: add.output })
    const check = await execute('CHECK', withResult, container(name))
    if (version === '0.3.1') t.match(check.output, { code: 1 })
    else t.strictSame(check, { exitCode: 0, output: undefined })

    t.strictSame(await execute('DEL', withResult, container(name)), { exitCode: 0, output: undefined })
    t.strictSame(await execute('DEL', configuration(version), container(name)), {
      exitCode: 0,
      output: undefined,
    })
    if (version !== '0.3.1') t.match(await failure('CHECK', withResult, container(name)), { code: 3 })
    t.strictSame(kernelState(), before)

    for (const command of ['STATUS', 'GC']) {
      const { exitCode, output } = await execute(
        command,
        configuration(version, { 'cni.dev/valid-attachments': [] }),
      )
      if (version === '1.1.0') t.equal(exitCode, 0)
      else t.match(output, { code: 1 })
    }
  })
}

t.test('what a runtime may get wrong', { skip }, async t => {
  addNamespace('wrong')
  t.teardown(() => deleteNamespace('wrong'))
  const before = kernelState()
  const good = configuration('1.1.0')
  const cases: [string, string, unknown, Record<string, string>, number, RegExp][] = [
    ['unknown command', 'JUMP', good, container('wrong'), 4, /JUMP/],
    ['no container id', 'ADD', good, { CNI_NETNS: namespacePath('wrong') }, 4, /CNI_CONTAINERID/],
    ['no namespace', 'ADD', good, { CNI_CONTAINERID: 'wrong' }, 4, /CNI_NETNS/],
    [
      'hostile container id',
      'ADD',
      good,
      { ...container('wrong'), CNI_CONTAINERID: '../../etc' },
      4,
      /container/,
    ],
    [
      'long interface name',
      'ADD',
      good,
      { ...container('wrong'), CNI_IFNAME: 'abcdefghijklmnop' },
      4,
      /interface/,
    ],
    ['hostile interface name', 'ADD', good, { ...container('wrong'), CNI_IFNAME: 'a/b' }, 4, /interface/],
    ['no JSON', 'ADD', '{"cniVersion":', container('wrong'), 6, /JSON/],
    ['no object', 'ADD', '[]', container('wrong'), 6, /object/],
    ['too long', 'ADD', `"${'x'.repeat(1024 * 1024)}"`, container('wrong'), 6, /longer than/],
    ['unknown version', 'ADD', configuration('2.0.0'), container('wrong'), 1, /2\.0\.0/],
    ['no socket', 'ADD', { ...good, socket: undefined }, container('wrong'), 7, /socket/],
    ['bad name', 'ADD', { ...good, name: 'a/b' }, container('wrong'), 7, /name/],
    [
      'bad port',
      'ADD',
      configuration('1.1.0', { runtimeConfig: { portMappings: [{ hostPort: 70000, containerPort: 1 }] } }),
      container('wrong'),
      7,
      /hostPort/,
    ],
    [
      'bad protocol',
      'ADD',
      configuration('1.1.0', {
        runtimeConfig: { portMappings: [{ hostPort: 7, containerPort: 1, protocol: 'sctp' }] },
      }),
      container('wrong'),
      2,
      /sctp/,
    ],
    [
      'IPv4 host address written as IPv6',
      'ADD',
      configuration('1.1.0', {
        runtimeConfig: { portMappings: [{ hostPort: 7, containerPort: 1, hostIP: '::ffff:127.0.0.1' }] },
      }),
      container('wrong'),
      2,
      /::ffff:127\.0\.0\.1/,
    ],
    [
      'IPv6 host address of another',
      'ADD',
      configuration('1.1.0', {
        runtimeConfig: { portMappings: [{ hostPort: 7, containerPort: 1, hostIP: '2001:db8::77' }] },
      }),
      container('wrong'),
      102,
      /2001:db8::77/,
    ],
    [
      'host address of another',
      'ADD',
      configuration('1.1.0', {
        runtimeConfig: { portMappings: [{ hostPort: 7, containerPort: 1, hostIP: '192.0.2.77' }] },
      }),
      container('wrong'),
      102,
      /192\.0\.2\.77/,
    ],
    ['no such namespace', 'ADD', good, { CNI_CONTAINERID: 'wrong', CNI_NETNS: '/run/netns/none' }, 8, /none/],
    [
      "the host's own namespace",
      'ADD',
      good,
      { CNI_CONTAINERID: 'wrong', CNI_NETNS: '/proc/1/ns/net' },
      107,
      /own/,
    ],
    [
      'a namespace of another kind',
      'ADD',
      good,
      { CNI_CONTAINERID: 'wrong', CNI_NETNS: '/proc/self/ns/mnt' },
      107,
      /namespace/,
    ],
    [
      'address outside the blocks',
      'ADD',
      configuration('1.1.0', { runtimeConfig: { ips: ['10.42.9.9'] } }),
      container('wrong'),
      104,
      /10\.42\.9\.9/,
    ],
    [
      'the gateway for an address',
      'ADD',
      configuration('1.1.0', { runtimeConfig: { ips: [GATEWAY] } }),
      container('wrong'),
      104,
      /10\.42\.0\.1/,
    ],
    [
      'bad MAC address',
      'ADD',
      configuration('1.1.0', { runtimeConfig: { mac: 'zz' } }),
      container('wrong'),
      7,
      /MAC/,
    ],
    [
      'a result from the future',
      'ADD',
      configuration('1.1.0', { prevResult: { cniVersion: '3.0.0' } }),
      container('wrong'),
      1,
      /3\.0\.0/,
    ],
  ]
  for (const [what, command, input, environment, code, message] of cases) {
    const { exitCode, output } = await execute(command, input, environment)
    t.equal(exitCode, 1, what)
    t.match(output, { code, msg: message }, what)
  }
  runIn('wrong', 'ip', 'link', 'add', 'eth0', 'type', 'bridge')
  t.match(
    await failure('ADD', good, container('wrong')),
    { code: 105, msg: /eth0/ },
    'the interface is there',
  )
  t.strictSame(kernelState(), before, 'nothing half done')
  t.strictSame(network.attachments(), [])
})

t.test('what a runtime may ask for', { skip }, async t => {
  const runtime = makeRuntime(directories)
  for (const name of ['first', 'second']) addNamespace(name)
  const mac = '02:00:01:aa:bb:cc'
  const first = { containerId: 'first', namespace: namespacePath('first'), interfaceName: 'eth0' }
  const second = { containerId: 'second', namespace: namespacePath('second'), interfaceName: 'net1' }
  const result = await runtime.add({
    ...first,
    address: '10.42.0.77',
    mac,
    portMappings: [{ hostPort: 8080, containerPort: 80 }],
  })
  t.equal(result.ips[0]?.address, '10.42.0.77/16')
  t.match(runIn('first', 'ip', 'link', 'show', 'eth0'), mac)
  await runtime.check('first', 'eth0')

  await t.rejects(runtime.add({ ...second, address: '10.42.0.77' }), {
    code: 'AddressInUse',
    message: /container first/,
  })
  await t.rejects(runtime.add({ ...second, portMappings: [{ hostPort: 8080, containerPort: 1 }] }), {
    code: 'PortInUse',
    message: /8080\/tcp.*container first/,
  })
  const other = createServer().listen(8081, '0.0.0.0')
  await once(other, 'listening')
  const before = kernelState()
  await t.rejects(
    runtime.add({
      ...second,
      portMappings: [
        { hostPort: 8082, containerPort: 1 },
        { hostPort: 8081, containerPort: 1 },
      ],
    }),
    { code: 'PortInUse', message: /8081\/tcp/ },
  )
  t.strictSame(kernelState(), before, 'nothing half done')
  t.equal(network.attachments().length, 1)
  other.close()

  await runtime.add(second)
  t.match(runIn('second', 'ip', 'address', 'show', 'net1'), '10.42.0.')
  runIn('second', 'ip', 'link', 'set', 'net1', 'down')
  await t.rejects(runtime.check('second', 'net1'), { code: 'AttachmentBroken', message: /down/ })
  await t.rejects(runtime.check('third', 'eth0'), { code: 'UnknownContainer' })

  // The namespace goes first, as when a container dies; its DEL comes later, twice.
  deleteNamespace('first')
  await runtime.delete({ containerId: 'first', interfaceName: 'eth0' })
  await runtime.delete({ containerId: 'first', interfaceName: 'eth0' })
  await runtime.delete({ containerId: 'never-there', interfaceName: 'eth0' })
  t.equal(network.attachments().length, 1)

  await runtime.status()
  const crowd = Array.from({ length: 12_000 }, (_, n) => ({
    containerId: `${'c'.repeat(40)}${n}`,
    interfaceName: 'eth0',
  }))
  await runtime.collectGarbage([...crowd, { containerId: 'second', interfaceName: 'net1' }])
  t.equal(network.attachments().length, 1, 'a request of almost a megabyte')
  await runtime.collectGarbage([{ containerId: 'second', interfaceName: 'net1' }])
  t.equal(network.attachments().length, 1)
  await runtime.collectGarbage([])
  t.strictSame(network.attachments(), [])
  t.strictSame(readdirSync(directories.cacheDirectory), [])
  t.notMatch(runIn('second', 'ip', 'link'), 'net1')
  deleteNamespace('second')
})

t.test(
  'other plugins before and after ours in one chain',
  { skip: skip || (existsSync(DEBIAN_PLUGINS) ? false : `${DEBIAN_PLUGINS} is not installed`) },
  async t => {
    const chain = {
      ...directories,
      configurationDirectory: `${directories.cniSocket}.chain`,
      binaryDirectory: `${directories.cniSocket}.bin`,
    }
    for (const directory of [chain.configurationDirectory, chain.binaryDirectory]) mkdirSync(directory)
    for (const name of ['loopback', 'tuning'])
      symlinkSync(path.join(DEBIAN_PLUGINS, name), path.join(chain.binaryDirectory, name))
    symlinkSync(directories.pluginFile, path.join(chain.binaryDirectory, 'drover'))
    const write = (plugins: unknown[]) =>
      writeFileSync(
        path.join(chain.configurationDirectory, '10-chain.conflist'),
        JSON.stringify({ cniVersion: '1.0.0', name: 'chain', plugins }),
      )
    const ours = { type: 'drover', socket: directories.cniSocket }
    const runtime = makeRuntime(chain)
    const namespace = addNamespace('chained')
    const attachment = { containerId: 'chained', namespace, interfaceName: 'eth0' }

    write([{ type: 'loopback' }, ours, { type: 'tuning', sysctl: { 'net.ipv4.conf.eth0.arp_notify': '1' } }])
    const result = await runtime.add(attachment)
    t.strictSame(
      result.interfaces.map(entry => entry.name).filter(name => !name.startsWith('vethr')),
      ['lo', 'drover0', 'eth0'],
    )
    t.equal(
      result.ips.find(ip => ip.address.startsWith('10.42.'))?.interface,
      3,
      'indexes follow the longer list',
    )
    t.match(runIn('chained', 'cat', '/proc/sys/net/ipv4/conf/eth0/arp_notify'), '1')
    await runtime.check('chained', 'eth0')
    await runtime.delete(attachment)
    t.strictSame(network.attachments(), [])

    const before = kernelState()
    write([ours, { type: 'tuning', sysctl: { 'net.ipv4.no_such_setting': '1' } }])
    await t.rejects(runtime.add(attachment), { code: 'PluginFailed', message: /tuning/ })
    t.strictSame(network.attachments(), [], 'ours was undone')
    t.strictSame(kernelState(), before)

    write([ours, { type: 'missing' }])
    await t.rejects(runtime.add(attachment), { code: 'PluginMissing', message: /missing/ })
    t.strictSame(network.attachments(), [])
    write([ours, { type: '../../../bin/true' }])
    await t.rejects(runtime.add(attachment), {
      code: 'InvalidCniConfiguration',
      message: /cannot be the name/,
    })
    t.strictSame(network.attachments(), [])
    deleteNamespace('chained')
  },
)
