/** A cluster that has chosen plugins of others: the host installs them, and the runtime remembers what they made. */
import { existsSync, rmSync } from 'node:fs'
import path from 'node:path'
import t from 'tap'
import { CniPodNetwork } from '../../../agent/runtime/index.ts'
import { inPrivateNetwork } from '../../lab/private-network.ts'
import { makeHostDirectories, makeHostNetwork, makeRuntime, SETTINGS } from './host.ts'
import { addNamespace, deleteNamespace, namespacePath, runIn } from './lab.ts'

const isolated = inPrivateNetwork(import.meta.filename)
const skip = isolated || (existsSync('/usr/lib/cni/ptp') ? false : 'needs containernetworking-plugins')

t.setTimeout(120_000)

t.test('plugins of others instead of ours, and back', { skip }, async t => {
  const directories = await makeHostDirectories()
  const network = makeHostNetwork(directories)
  t.teardown(() => network.uninstall())
  await network.start()
  const ipam = {
    type: 'host-local',
    ranges: [[{ subnet: '__host_label__: pods' }], [{ subnet: '2001:db8:1::/64' }]],
    dataDir: path.join(directories.dataDirectory, 'host-local'),
  }
  const list = { cniVersion: '1.0.0', name: 'points', plugins: [{ type: 'ptp', ipam }] }
  await network.configure({
    ...SETTINGS,
    labels: { pods: '198.51.100.0/24' },
    network: {
      kind: 'external',
      options: { external: { cniConfig: { '20-points.conflist': list } } },
      hostPorts: true,
    },
  })
  t.equal(network.failure, undefined)
  addNamespace('pod')
  const request = { containerId: 'pod', networkNamespace: namespacePath('pod'), ports: [] }
  const pods = new CniPodNetwork(makeRuntime(directories), network)
  t.equal(pods.attachment('pod'), undefined)
  const { ip, ip6 } = await pods.attach(request)
  t.match(ip, /^198\.51\.100\./)
  t.match(ip6, /^2001:db8:1::/)
  for (const address of [ip, ip6 ?? '']) t.match(runIn('pod', 'ip', 'address', 'show', 'eth0'), address)
  t.match(pods.attachment('pod'), { ip, ip6, macAddress: /^[0-9a-f:]{17}$/ })
  t.strictSame(network.attachments(), [])

  const restarted = new CniPodNetwork(makeRuntime(directories), network)
  t.match(restarted.attachment('pod'), { ip, ip6 }, 'remembered by the next process')
  await network.configure(SETTINGS)
  t.match(restarted.attachment('pod'), { ip }, 'what was made stays until it is deleted')
  // The sandbox goes first, and its namespace with it.
  deleteNamespace('pod')
  await restarted.detach('pod')
  t.equal(restarted.attachment('pod'), undefined)
  addNamespace('pod')
  t.match(await restarted.attach(request), { ip: /^10\.42\./ }, 'from now on it is ours')
  await restarted.detach('pod')
  await network.uninstall()
  deleteNamespace('pod')
  rmSync(path.dirname(directories.dataDirectory), { recursive: true })
})
