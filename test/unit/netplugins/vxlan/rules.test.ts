/** What VXLAN and routed networks ask of links and of the firewall. */
import t from 'tap'
import { requireIpv6Prefix } from '../../../../kit/index.ts'
import type { Link } from '../../../../netplugins/netlink/index.ts'
import { routedRules } from '../../../../netplugins/routed/routed-rules.ts'
import { compareVtep, vtepMac, wantedVtep } from '../../../../netplugins/vxlan/vtep.ts'
import { vxlanRules, vxlanRules6 } from '../../../../netplugins/vxlan/vxlan-rules.ts'

const UPLINK: Link = {
  index: 2,
  name: 'eth0',
  kind: undefined,
  mac: '02:00:00:00:00:01',
  mtu: 9001,
  master: undefined,
  parent: undefined,
  hairpin: false,
  up: true,
  promiscuous: false,
  group: 0,
}

t.test('the VTEP of a host', async t => {
  t.equal(vtepMac('192.0.2.17'), '0e:00:c0:00:02:11')
  const wanted = wantedVtep('192.0.2.17', UPLINK, true)
  t.match(wanted, { name: 'vtep1042', id: 1042, port: 4789, local: '192.0.2.17', learning: false, mtu: 8951 })
  t.equal(wantedVtep('192.0.2.17', undefined, false).mtu, 1450)
  t.equal(wantedVtep('192.0.2.17', UPLINK, false).local, undefined, 'behind address translation')

  const { mac, mtu, ...settings } = wanted
  const link: Link = { ...UPLINK, name: 'vtep1042', kind: 'vxlan', mac, mtu, vxlan: settings }
  t.equal(compareVtep(link, wanted), 'same')
  for (const change of [{ mtu: 1400 }, { mac: '02:00:00:00:00:01' }, { master: 7 }, { up: false }])
    t.equal(compareVtep({ ...link, ...change }, wanted), 'changeable', JSON.stringify(change))
  for (const change of [{ id: 7 }, { port: 8472 }, { local: undefined }, { learning: true }])
    t.equal(
      compareVtep({ ...link, vxlan: { ...settings, ...change } }, wanted),
      'other',
      JSON.stringify(change),
    )
  t.equal(compareVtep(UPLINK, wanted), 'other')
})

t.test('only peers get in', async t => {
  const state = {
    address: '192.0.2.1',
    clusterBlock: '10.42.0.0/16',
    blocks: [],
    bridgeName: 'drover0',
    gateway: '10.42.0.1',
    peers: [],
  }
  const peers = ['192.0.2.2', '192.0.2.3']
  t.strictSame(vxlanRules(state, peers, true).input, [
    '-p udp -m udp --dport 4789 -m set ! --match-set DROVER_VXLAN_PEERS src -j DROP',
  ])
  t.strictSame(vxlanRules(state, peers, false).input, [
    '-s 192.0.2.2/32 -p udp -m udp --dport 4789 -j RETURN',
    '-s 192.0.2.3/32 -p udp -m udp --dport 4789 -j RETURN',
    '-p udp -m udp --dport 4789 -j DROP',
  ])
  t.strictSame(vxlanRules(state, [], false).input, ['-p udp -m udp --dport 4789 -j DROP'])
  t.equal(vxlanRules(state, peers, true).forward.at(-1), '-i vtep1042 -j DROP')

  t.strictSame(vxlanRules6(state), { input: [], forward: [], nat: [] }, 'nothing in IPv6 without a prefix')
  t.strictSame(vxlanRules6({ ...state, ipv6Prefix: requireIpv6Prefix('fd42::/96', 'prefix') }), {
    input: [],
    forward: [
      '-s fd42::a2a:0/112 -i vtep1042 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
      '-i drover0 -o vtep1042 -j ACCEPT',
      '-s fd42::a2a:0/112 -i vtep1042 -o drover0 -j ACCEPT',
      '-i vtep1042 -j DROP',
    ],
    nat: ['! -s fd42::a2a:0/112 -o vtep1042 -j MASQUERADE', '-s fd42::a2a:1/128 -o vtep1042 -j MASQUERADE'],
  })
})

t.test('routed networks keep addresses', async t => {
  const input = { bridgeName: 'drover0', subnets: ['10.42.1.0/26'], hosts: ['192.0.2.2'] }
  t.match(routedRules({ ...input, hasSets: true }), {
    input: [],
    nat: ['-m set --match-set RANCHER_DISABLE_HOST_NAT_IPSET dst -j RETURN'],
  })
  t.strictSame(routedRules({ ...input, hasSets: false }), {
    input: [],
    forward: ['-s 10.42.1.0/26 -o drover0 -j ACCEPT', '-s 192.0.2.2/32 -o drover0 -j ACCEPT'],
    nat: ['-d 10.42.1.0/26 -j RETURN'],
  })
})
