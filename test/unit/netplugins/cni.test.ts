import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import { isDroverError, kitErrors } from '../../../kit/index.ts'
import { type CniHandler, serveRequest } from '../../../netplugins/cni/cni-handler.ts'
import { cniErrorObject, errorOfCni } from '../../../netplugins/cni/failures.ts'
import { chooseVersion, readNetworkList } from '../../../netplugins/cni/network-list-files.ts'
import { readInvocation } from '../../../netplugins/cni/plugin/invocation.ts'
import { pluginFile } from '../../../netplugins/cni/plugin-command.ts'
import { appendResult, type CniResult, formatResult, parseResult } from '../../../netplugins/cni/result.ts'
import { CNI_VERSIONS } from '../../../netplugins/cni/specification.ts'
import { networkErrors } from '../../../netplugins/index.ts'

const RESULT: CniResult = {
  interfaces: [
    { name: 'drover0', mac: '02:d0:0a:2a:00:01' },
    { name: 'eth0', mac: '02:d0:0a:2a:00:05', mtu: 1450, sandbox: '/run/netns/a' },
  ],
  ips: [{ address: '10.42.0.5/16', gateway: '10.42.0.1', interface: 1 }, { address: 'fd00::5/64' }],
  routes: [{ dst: '0.0.0.0/0', gw: '10.42.0.1', mtu: 1400 }],
  dns: { nameservers: ['169.254.169.250'] },
}

t.test('results of every version', async t => {
  for (const version of CNI_VERSIONS) {
    const printed = formatResult(RESULT, version)
    t.equal(printed.cniVersion, version)
    const again = parseResult(JSON.parse(JSON.stringify(printed)), 'result')
    t.strictSame(again.ips, RESULT.ips, `${version}: nothing of an address is lost`)
    const lossless = version === '1.1.0'
    t.equal(again.interfaces[1]?.mtu, lossless ? 1450 : undefined)
    t.equal(again.routes[0]?.mtu, lossless ? 1400 : undefined)
    const versions = JSON.parse(JSON.stringify(printed)).ips.map((ip: { version?: string }) => ip.version)
    t.strictSame(versions, version < '1.0.0' ? ['4', '6'] : [undefined, undefined])
  }
  t.throws(() => parseResult({ cniVersion: '0.1.0', ip4: {} }, 'result'), { code: 'IncompatibleCniVersion' })
  t.throws(() => parseResult({ cniVersion: '1.0.0', ips: [{ address: 5 }] }, 'result'), {
    code: 'InvalidFormat',
  })
  t.strictSame(parseResult({}, 'result'), { interfaces: [], ips: [], routes: [], dns: {} })
})

t.test('a result behind another', async t => {
  const both = appendResult(RESULT, RESULT)
  t.equal(both.interfaces.length, 4)
  t.strictSame(
    both.ips.map(ip => ip.interface),
    [1, undefined, 3, undefined],
  )
  t.equal(appendResult(undefined, RESULT), RESULT)
})

t.test('errors as numbers and back', async t => {
  const cases: [Error, number, string][] = [
    [networkErrors.IncompatibleCniVersion(), 1, 'IncompatibleCniVersion'],
    [networkErrors.UnsupportedCniField(), 2, 'UnsupportedCniField'],
    [networkErrors.UnknownContainer(), 3, 'UnknownContainer'],
    [networkErrors.InvalidCniEnvironment(), 4, 'InvalidCniEnvironment'],
    [networkErrors.InvalidCniConfiguration(), 7, 'InvalidCniConfiguration'],
    [kitErrors.InvalidFormat(), 7, 'InvalidCniConfiguration'],
    [networkErrors.NamespaceMissing(), 8, 'NamespaceMissing'],
    [networkErrors.TryAgainLater(), 11, 'TryAgainLater'],
    [networkErrors.BlockExhausted(), 11, 'TryAgainLater'],
    [kitErrors.QueueFull(), 11, 'TryAgainLater'],
    [networkErrors.NetworkNotReady(), 50, 'NetworkNotReady'],
    [networkErrors.LimitedConnectivity(), 51, 'LimitedConnectivity'],
    [networkErrors.PortInUse(), 101, 'PortInUse'],
    [networkErrors.RulesRefused(), 109, 'RulesRefused'],
    [new Error('oops'), 999, 'PluginFailed'],
    [kitErrors.CommandMissing(), 999, 'PluginFailed'],
  ]
  for (const [error, number, name] of cases) {
    const printed = cniErrorObject(error, '1.0.0')
    t.match(printed, { cniVersion: '1.0.0', code: number })
    t.equal(errorOfCni(printed, 'drover').code, name)
  }
  t.equal(
    errorOfCni({ cniVersion: '1.0.0', code: 101, msg: 'mine' }, 'tuning').code,
    'PluginFailed',
    'a number of another plugin',
  )
  t.match(cniErrorObject(networkErrors.PortInUse({ object: 'port 80/tcp' }), '1.0.0'), {
    msg: /port 80\/tcp/,
    details: /publish another/,
  })
})

t.test('the types of plugins lead nowhere else', async t => {
  t.equal(pluginFile('/opt/cni/bin', 'host-local'), '/opt/cni/bin/host-local')
  for (const type of ['', '.', '..', '../reboot', '/bin/sh', 'a/b', 'a b', 'a\0b', 'ä', '$(reboot)']) {
    t.throws(
      () => pluginFile('/opt/cni/bin', type),
      { code: 'InvalidCniConfiguration' },
      JSON.stringify(type),
    )
  }
  fc.assert(
    fc.property(fc.string(), type => {
      try {
        return path.dirname(pluginFile('/opt/cni/bin', type)) === '/opt/cni/bin'
      } catch (error) {
        return isDroverError(error, 'InvalidCniConfiguration')
      }
    }),
  )
})

t.test('configuration lists on disk', async t => {
  const directory = t.testdir()
  await t.rejects(readNetworkList(path.join(directory, 'none')), { code: 'NetworkNotReady' })
  await t.rejects(readNetworkList(directory), { code: 'NetworkNotReady' })
  const write = (name: string, content: unknown) =>
    writeFileSync(path.join(directory, name), typeof content === 'string' ? content : JSON.stringify(content))
  mkdirSync(path.join(directory, 'sub'))
  write('readme.txt', 'no')
  write('30-last.conflist', { cniVersion: '1.0.0', name: 'last', plugins: [{ type: 'a' }] })
  t.equal((await readNetworkList(directory)).name, 'last')
  write('20-single.conf', { cniVersion: '0.4.0', name: 'single', type: 'b', mtu: 9 })
  t.strictSame(await readNetworkList(directory), {
    cniVersion: '0.4.0',
    name: 'single',
    plugins: [{ cniVersion: '0.4.0', name: 'single', type: 'b', mtu: 9 }],
  })
  for (const bad of [
    '{',
    '[]',
    '{}',
    { name: 'x', plugins: [] },
    { name: '../x', plugins: [{ type: 'a' }] },
    `"${'x'.repeat(1_100_000)}"`,
  ]) {
    write('10-bad.conflist', bad)
    await t.rejects(readNetworkList(directory), { code: 'InvalidCniConfiguration', message: /10-bad/ })
  }
})

t.test('the newest version that both speak', async t => {
  const list = { name: 'n', plugins: [{ type: 'a' }] }
  t.equal(chooseVersion({ ...list, cniVersion: '0.3.1' }), '0.3.1')
  t.equal(chooseVersion({ ...list, cniVersion: '1.0.0', cniVersions: ['0.4.0', '1.1.0', '9.0.0'] }), '1.1.0')
  t.throws(() => chooseVersion({ ...list, cniVersion: '9.0.0' }), {
    code: 'IncompatibleCniVersion',
    message: /9\.0\.0/,
  })
  t.throws(() => chooseVersion(list), { code: 'IncompatibleCniVersion' })
})

t.test('whatever a runtime passes, the plugin makes sense of it or says why not', async () => {
  const text = fc.oneof(fc.string(), fc.constantFrom('ADD', 'DEL', 'VERSION', 'eth0', '/run/a.sock', '1.0.0'))
  fc.assert(
    fc.property(
      fc.dictionary(
        fc.constantFrom('CNI_COMMAND', 'CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME', 'CNI_PATH'),
        text,
      ),
      fc.oneof(
        fc.json(),
        fc.string(),
        fc.record({ cniVersion: text, socket: text }).map(value => JSON.stringify(value)),
      ),
      (environment, input) => {
        const invocation = readInvocation(environment, input)
        return invocation.kind !== 'invalid' || (invocation.error.code >= 1 && invocation.error.msg !== '')
      },
    ),
  )
})

t.test('whatever reaches the agent is answered', async t => {
  const nothing = async () => undefined
  const handler: CniHandler = {
    add: async () => RESULT,
    delete: nothing,
    check: nothing,
    status: nothing,
    collectGarbage: nothing,
  }
  await fc.assert(
    fc.asyncProperty(fc.oneof(fc.json(), fc.string()), async line => {
      const answer = await serveRequest(handler, line, () => undefined)
      return 'error' in answer
    }),
  )
  const request = {
    command: 'DEL',
    containerId: 'c1',
    namespace: '',
    interfaceName: 'eth0',
    arguments: '',
    configuration: { cniVersion: '0.4.0', name: 'n', type: 'drover', prevResult: 'nonsense' },
  }
  t.strictSame(
    await serveRequest(handler, JSON.stringify(request), error => t.fail(String(error))),
    {},
    'a DEL does not need the result',
  )
})
