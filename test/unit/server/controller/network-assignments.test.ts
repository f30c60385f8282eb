/** What of hosts' labels agents are told. */
import t from 'tap'
import { networkLabels } from '../../../../server/controller/network-assignments.ts'

t.test('labels that say something of the network, and no others', async t => {
  const labels = { 'io.rancher.network.l2flat.interface': 'eth1', nic: 'eth7', owner: 'somebody' }
  const chosen = { 'io.rancher.network.l2flat.interface': 'eth1' }
  t.strictSame(networkLabels(labels, {}), chosen)
  const plugins = [
    { type: 'macvlan', master: '__host_label__: nic', ipam: { ranges: ['__host_label__: none'] } },
  ]
  const external = { cniConfig: { '20-x.conflist': { cniVersion: '1.0.0', name: 'x', plugins } } }
  t.strictSame(networkLabels(labels, { external }), { ...chosen, nic: 'eth7' })
  t.equal(networkLabels({ owner: 'somebody' }, {}), undefined)
})
