import { linkSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import t from 'tap'
import { NetworkDriver } from '../../../netplugins/driver/index.ts'

function setUp(directory: string) {
  const options = {
    configurationDirectory: path.join(directory, 'etc/cni/net.d'),
    binaryDirectory: path.join(directory, 'opt/cni/bin'),
    pluginFile: path.join(directory, 'built'),
    socket: '/run/drover/cni.sock',
    networkName: 'drover',
    hostLabels: () => ({ nic: 'eth7' }),
  }
  writeFileSync(options.pluginFile, 'one', { mode: 0o755 })
  return { options, driver: new NetworkDriver(options) }
}

t.test('installs, again, and takes it away again', async t => {
  const { options, driver } = setUp(t.testdir())
  await driver.install()
  const list = path.join(options.configurationDirectory, '10-drover.conflist')
  const plugin = path.join(options.binaryDirectory, 'drover')
  t.match(JSON.parse(readFileSync(list, 'utf8')), {
    cniVersion: '0.4.0',
    cniVersions: ['0.4.0', '1.0.0', '1.1.0'],
    name: 'drover',
    plugins: [{ type: 'drover', socket: '/run/drover/cni.sock', capabilities: { portMappings: true } }],
  })
  const first = statSync(list)
  await driver.install()
  t.equal(statSync(list).ino, first.ino, 'nothing is written when nothing changed')

  rmSync(options.pluginFile)
  writeFileSync(options.pluginFile, 'two', { mode: 0o755 })
  await driver.install()
  t.equal(readFileSync(plugin, 'utf8'), 'two', 'a new build replaces the old one')
  t.strictSame(readdirSync(options.binaryDirectory), ['drover'])

  writeFileSync(path.join(options.configurationDirectory, '99-other.conflist'), '{}')
  writeFileSync(path.join(options.binaryDirectory, 'other'), '')
  await driver.uninstall()
  await driver.uninstall()
  t.strictSame(readdirSync(options.configurationDirectory), ['99-other.conflist'])
  t.strictSame(readdirSync(options.binaryDirectory), ['other'])
  t.equal(readFileSync(options.pluginFile, 'utf8'), 'two')
})

t.test('repairs what others changed', async t => {
  const { options, driver } = setUp(t.testdir())
  await driver.install()
  const list = path.join(options.configurationDirectory, '10-drover.conflist')
  const content = readFileSync(list, 'utf8')
  writeFileSync(list, '{}')
  rmSync(path.join(options.binaryDirectory, 'drover'))
  await driver.install()
  t.equal(readFileSync(list, 'utf8'), content)
  t.equal(readFileSync(path.join(options.binaryDirectory, 'drover'), 'utf8'), 'one')
})

t.test('a missing build installs nothing', async t => {
  const { options, driver } = setUp(t.testdir())
  rmSync(options.pluginFile)
  await t.rejects(driver.install(), { code: 'ENOENT' })
  t.strictSame(readdirSync(options.configurationDirectory), [])
  mkdirSync(path.join(options.binaryDirectory, 'x'))
  writeFileSync(options.pluginFile, 'one')
  linkSync(options.pluginFile, path.join(options.binaryDirectory, 'drover'))
  await driver.install()
  t.strictSame(configurationNames(options.configurationDirectory), ['10-drover.conflist'])
})

function configurationNames(directory: string): string[] {
  return readdirSync(directory).filter(name => !name.startsWith('.'))
}

t.test('what would be taken instead of ours is set aside and put back', async t => {
  const { options, driver } = setUp(t.testdir())
  mkdirSync(options.configurationDirectory, { recursive: true })
  for (const name of ['05-calico.conflist', '10-drover.conflist', '99-loopback.conf', 'README'])
    writeFileSync(path.join(options.configurationDirectory, name), `{"name":"${name}"}`)
  await driver.install()
  t.strictSame(configurationNames(options.configurationDirectory), [
    '05-calico.conflist.drover-aside',
    '10-drover.conflist',
    '99-loopback.conf',
    'README',
  ])
  writeFileSync(path.join(options.configurationDirectory, '01-late.conf'), '{}')
  await new NetworkDriver(options).install()
  t.ok(configurationNames(options.configurationDirectory).includes('01-late.conf.drover-aside'))
  await driver.uninstall()
  t.strictSame(readdirSync(options.configurationDirectory), [
    '01-late.conf',
    '05-calico.conflist',
    '99-loopback.conf',
    'README',
  ])
})

t.test('what runtimes call beside ours is linked to where the host has it', async t => {
  const { options } = setUp(t.testdir({ lib: { loopback: '#!' } }))
  const pluginDirectories = [options.binaryDirectory, path.join(t.testdirName, 'lib')]
  const driver = new NetworkDriver({ ...options, pluginDirectories, companions: ['loopback', 'absent'] })
  await driver.install()
  await driver.install()
  t.equal(readFileSync(path.join(options.binaryDirectory, 'loopback'), 'utf8'), '#!', 'leads to a program')
  t.strictSame(readdirSync(options.binaryDirectory), ['drover', 'loopback'])
  await driver.uninstall()
  t.strictSame(readdirSync(options.binaryDirectory), [])
})

t.test("a cluster's own choice of plugins, and back", async t => {
  const { options } = setUp(t.testdir({ lib: { ptp: '#!', 'host-local': '#!' } }))
  const pluginDirectories = [path.join(t.testdirName, 'lib')]
  const driver = new NetworkDriver({ ...options, pluginDirectories })
  await driver.install()
  const plugins = [{ type: 'ptp', master: '__host_label__: nic', ipam: { type: 'host-local' } }]
  const external = { '20-ptp.conflist': { cniVersion: '1.0.0', name: 'ptp', plugins } }
  await driver.install(external)
  t.strictSame(configurationNames(options.configurationDirectory), ['20-ptp.conflist'])
  t.match(JSON.parse(readFileSync(path.join(options.configurationDirectory, '20-ptp.conflist'), 'utf8')), {
    plugins: [{ master: 'eth7' }],
  })
  t.strictSame(readdirSync(options.binaryDirectory), ['drover', 'host-local', 'ptp'])
  await driver.install(external)
  t.strictSame(readdirSync(options.binaryDirectory), ['drover', 'host-local', 'ptp'])

  await t.rejects(driver.install({ '20-x.conflist': { plugins: [{ type: 'no-such-plugin' }] } }), {
    code: 'PluginMissing',
  })
  for (const bad of [
    { '../x.conf': {} },
    { 'x.txt': {} },
    { 'x.conf': { type: '../../bin/sh' } },
    { 'x.conf': { plugins: 5 } },
  ]) {
    await t.rejects(driver.install(bad as never), { code: 'InvalidCniConfiguration' }, JSON.stringify(bad))
  }
  await new NetworkDriver({ ...options, pluginDirectories }).install()
  t.strictSame(configurationNames(options.configurationDirectory), ['10-drover.conflist'])
  t.strictSame(
    readdirSync(options.binaryDirectory),
    ['drover', 'host-local', 'ptp'],
    'for containers that they made',
  )
  await driver.uninstall()
  t.strictSame(readdirSync(options.configurationDirectory), [])
  t.strictSame(readdirSync(options.binaryDirectory), [])
})
