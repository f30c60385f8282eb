/** Virtual hosts are real enough for Docker, see each other and leave nothing behind. */
import { mkdtemp, readdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import t from 'tap'
import { Lab } from '../../lab/lab.ts'
import { inPrivateNetwork } from '../../lab/private-network.ts'

const skip = inPrivateNetwork(import.meta.filename)

t.test('two hosts, each with its own Docker, reach each other and nothing else', { skip }, async t => {
  const directory = await mkdtemp(path.join(tmpdir(), 'drover-lab-'))
  const lab = new Lab({ name: 'pair', directory })
  t.teardown(() => lab.remove())
  await lab.createSwitch()
  const [one, two] = await Promise.all([lab.addHost(1), lab.addHost(2)])

  await one.run('busybox', ['ping', '-c', '1', '-W', '2', two.address])
  t.pass('h1 reaches h2')
  const away = await one.run('busybox', ['ping', '-c', '1', '-W', '1', '198.51.100.1'], {
    acceptedExitCodes: [0, 1, 2],
  })
  t.not(away.exitCode, 0, 'no way out')
  t.equal((await two.run('hostname', [])).stdout.trim(), 'h2')
  await one.run('docker', ['volume', 'create', 'only-here'])
  t.match((await one.run('docker', ['volume', 'ls', '--quiet'])).stdout, 'only-here')
  t.notMatch((await two.run('docker', ['volume', 'ls', '--quiet'])).stdout, 'only-here')
  await one.run('touch', ['/etc/made-in-the-lab', '/var/lib/made-in-the-lab'])
  t.notOk((await readdir('/etc')).includes('made-in-the-lab'))

  await lab.remove()
  t.strictSame(
    (await readdir(tmpdir())).filter(name => directory.endsWith(name)),
    [],
  )
  const controllers = await readdir('/sys/fs/cgroup')
  const groups = (
    await Promise.all(controllers.map(name => readdir(`/sys/fs/cgroup/${name}`).catch(() => [])))
  ).flat()
  t.strictSame(
    groups.filter(name => name.startsWith('drover-lab-pair')),
    [],
  )
})
