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
    cniVersion: '1.0.0',
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
  t.equal(readdirSync(options.configurationDirectory).length, 1)
})
