/** Whose kubectl may do what: tokens, certificates, agents of hosts, other clusters. */
import t from 'tap'
import { MasterUnderTest, missingKubectl } from './kubectl.ts'

const skip = await missingKubectl()

const pod = (name: string, nodeName: string) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name },
  spec: { nodeName, containers: [{ name: 'main', image: 'registry.example/x' }] },
})

t.test('access', { skip, timeout: 120_000 }, async t => {
  const master = await MasterUnderTest.start(t)
  const as = async (config: string, ...args: string[]) => await master.run(args, { config })

  await t.test('tokens of one cluster are nothing in another', async t => {
    await master.master.createCluster('c2')
    await master.writeConfig('of-c1', { token: 'admin-of-c1' })
    await master.writeConfig('of-c1-in-c2', { token: 'admin-of-c1' }, 'c2')
    await master.writeConfig('of-c1-nowhere', { token: 'admin-of-c1' }, 'nowhere')
    await master.writeConfig('of-c2', { token: 'admin-of-c2' }, 'c2')
    const refused = await as('of-c1-in-c2', 'get', 'configmap', 'm')
    t.match(refused, { exitCode: 1, stderr: /You must be logged in|Unauthorized/ })
    const nowhere = await as('of-c1-nowhere', 'get', 'configmap', 'm')
    const complaint = (output: { stderr: string }) => output.stderr.trim().split('\n').at(-1)
    t.equal(complaint(nowhere), complaint(refused), 'a cluster that is not there looks the same')
    t.match(await as('of-c1', 'create', 'configmap', 'm'), { exitCode: 0 })
    t.match(await as('of-c2', 'get', 'configmap', 'm'), { exitCode: 1, stderr: /NotFound/ })
    t.match(await as('of-c2', 'create', 'configmap', 'm'), { exitCode: 0 })
    await master.writeConfig('admin-nowhere', { token: master.token }, 'nowhere')
    t.match(await as('admin-nowhere', 'get', 'pods'), { exitCode: 1 })
    await master.writeConfig('nobody', { token: 'nonsense' })
    t.match(await as('nobody', 'get', 'pods'), { exitCode: 1, stderr: /You must be logged in|Unauthorized/ })
  })

  await t.test('an agent has a certificate, its node and its pods', async t => {
    const certificate = await master.certificate('system:node:n1', ['system:nodes'])
    await master.writeConfig('n1', { certificate })
    await master.ok(
      'create',
      '-f',
      await master.writeManifest('pods.yaml', pod('mine', 'n1'), pod('other', 'n2')),
    )
    t.match(await as('n1', 'get', 'pods', '-A', '--field-selector=spec.nodeName=n1', '-o', 'name'), {
      exitCode: 0,
      stdout: 'pod/mine\n',
    })
    t.match(await as('n1', 'get', 'pods'), { exitCode: 1, stderr: /Forbidden.*system:node:n1/ })
    t.match(await as('n1', 'get', 'pod', 'other'), { exitCode: 1, stderr: /Forbidden/ })
    t.match(await as('n1', 'get', 'secrets', '-A'), { exitCode: 1, stderr: /Forbidden/ })
    const node = (name: string) => ({ apiVersion: 'v1', kind: 'Node', metadata: { name } })
    t.match(await as('n1', 'create', '-f', await master.writeManifest('n1.yaml', node('n1'))), {
      exitCode: 0,
    })
    t.match(await as('n1', 'create', '-f', await master.writeManifest('n2.yaml', node('n2'))), {
      exitCode: 1,
      stderr: /Forbidden/,
    })
    t.match(await as('n1', 'label', 'node', 'n1', 'a=b'), { exitCode: 0 })
    t.match(await as('n1', 'delete', 'node', 'n1'), { exitCode: 1, stderr: /Forbidden/ })
    const status = [
      '--subresource=status',
      '--type=merge',
      '-p',
      '{"status":{"phase":"Running","podIP":"10.42.0.2","podIPs":[{"ip":"10.42.0.2"}]}}',
    ]
    t.match(await as('n1', 'patch', 'pod', 'mine', ...status), { exitCode: 0 })
    t.match(await as('n1', 'patch', 'pod', 'other', ...status), { exitCode: 1, stderr: /Forbidden/ })
    t.match(await master.ok('get', 'pod', 'mine', '-o', 'wide'), /mine +0\/1 +Running .*10\.42\.0\.2 +n1/)
  })

  await t.test('a bound pod ends when its node says so', async t => {
    const deleting = master.run(['delete', 'pod', 'mine', '--timeout=30s'])
    await master.ok(
      'wait',
      'pod/mine',
      '--for=jsonpath={.metadata.deletionGracePeriodSeconds}=30',
      '--timeout=30s',
    )
    t.match(await master.ok('get', 'pod', 'mine'), /mine +0\/1 +Terminating/)
    t.match(await as('n1', 'delete', 'pod', 'other', '--grace-period=0', '--force'), {
      exitCode: 1,
      stderr: /Forbidden/,
    })
    t.match(await as('n1', 'delete', 'pod', 'mine', '--grace-period=0', '--force', '--wait=false'), {
      exitCode: 0,
    })
    t.match(await deleting, { exitCode: 0, stdout: /pod "mine" deleted/ })
    t.match(await master.fails('get', 'pod', 'mine'), /not found/)
  })

  await t.test('a component has what it needs', async t => {
    const certificate = await master.certificate('netes', ['drover:netes'])
    await master.writeConfig('netes', { certificate })
    t.match(await as('netes', 'create', 'namespace', 'stack'), { exitCode: 0 })
    t.match(await as('netes', 'run', 'p', '--image=x', '-n', 'stack'), { exitCode: 0 })
    t.match(await as('netes', 'get', 'secrets', '-n', 'stack'), { exitCode: 1, stderr: /Forbidden/ })
  })
})
