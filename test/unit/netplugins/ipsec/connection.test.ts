import t from 'tap'
import { requireIpv6Prefix } from '../../../../kit/index.ts'
import { parseAssociations } from '../../../../netplugins/ipsec/associations.ts'
import { probeBackend } from '../../../../netplugins/ipsec/backend-probe.ts'
import { charonFiles, charonSettings } from '../../../../netplugins/ipsec/charon-settings.ts'
import {
  beginsWith,
  type ConnectionInput,
  DEFAULT_TIMINGS,
  desiredConnection,
  parseConnectionName,
} from '../../../../netplugins/ipsec/connection.ts'
import {
  acceptedCredentials,
  credentialName,
  type HostCertificate,
} from '../../../../netplugins/ipsec/credentials.ts'
import { failureOf, parseLogEvent } from '../../../../netplugins/ipsec/failures.ts'
import { hostAddressesOf } from '../../../../netplugins/ipsec/index.ts'
import { ipsecRules, ipsecRules6 } from '../../../../netplugins/ipsec/ipsec-rules.ts'
import { listOf, sectionOf, textOf } from '../../../../netplugins/ipsec/vici/index.ts'
import type { OverlayState, Peer } from '../../../../netplugins/overlay/index.ts'

const PEER: Peer = {
  hostId: '1h2',
  name: 'beta',
  address: '192.0.2.10',
  blocks: ['10.42.2.0/26'],
  labels: {},
}

const STATE: OverlayState = {
  address: '192.0.2.9',
  clusterBlock: '10.42.0.0/16',
  blocks: ['10.42.1.0/26', '10.42.1.64/26'],
  bridgeName: 'drover0',
  gateway: '10.42.0.1',
  peers: [PEER],
}

const INPUT: ConnectionInput = {
  state: STATE,
  peer: PEER,
  credentials: { kind: 'psk', current: 'secret' },
  backend: 'userspace',
  timings: DEFAULT_TIMINGS,
  hasAddress: true,
}

function sectionFor(input: Partial<ConnectionInput> = {}) {
  const { name, section } = desiredConnection({ ...INPUT, ...input })
  const connection = sectionOf(section, name)
  return { connection, child: sectionOf(sectionOf(connection, 'children'), 'containers') }
}

t.test('what charon is told of a peer', async t => {
  const { connection, child } = sectionFor()
  t.match(connection, {
    version: '2',
    local_addrs: ['192.0.2.9'],
    remote_addrs: ['192.0.2.10', '0.0.0.0/0'],
    encap: 'yes',
    dpd_delay: '10s',
    rekey_time: '14400s',
    local: { auth: 'psk', id: '192.0.2.9' },
    remote: { auth: 'psk', id: '192.0.2.10' },
  })
  t.equal(listOf(connection, 'proposals')[0], 'aes128gcm16-prfsha256-curve25519')
  t.same(listOf(child, 'local_ts'), STATE.blocks)
  t.same(listOf(child, 'remote_ts'), PEER.blocks)
  t.equal(listOf(child, 'esp_proposals')[0], 'aes128gcm16-curve25519')
  t.ok(listOf(child, 'esp_proposals').every(proposal => !proposal.includes('sha1')))
  t.match(child, {
    replay_window: '1024',
    rekey_time: '3600s',
    rand_time: '360s',
    life_time: '9000s',
    mode: 'tunnel',
    close_action: 'none',
  })
  t.equal(textOf(child, 'reqid'), undefined, 'charon tells associations apart by it')
})

t.test('the kernel gets the policies that people know', async t => {
  const { child } = sectionFor({ backend: 'kernel' })
  t.match(child, { reqid: '1234', priority: '10000', if_id_in: '1234', if_id_out: '1234' })
})

t.test('behind address translation charon chooses its address', async t => {
  t.same(listOf(sectionFor({ hasAddress: false }).connection, 'local_addrs'), [])
})

t.test('the lower address begins, as a number and not as a text', async t => {
  t.equal(beginsWith('192.0.2.9', '192.0.2.10'), true)
  t.equal(beginsWith('192.0.2.10', '192.0.2.9'), false)
  const other = desiredConnection({ ...INPUT, state: { ...STATE, address: '192.0.2.11' } })
  t.equal(other.begins, false)
  const section = sectionOf(other.section, other.name)
  t.match(section, { rekey_time: '21600s' }, 'and replaces keys only when the other one does not')
})

t.test('a name changes with all that matters and with nothing else', async t => {
  const { name } = desiredConnection(INPUT)
  const changed = [
    { credentials: { kind: 'psk', current: 'other' } },
    { peer: { ...PEER, address: '192.0.2.12' } },
    { peer: { ...PEER, blocks: ['10.42.2.64/26'] } },
    { state: { ...STATE, blocks: ['10.42.1.0/26'] } },
    { hasAddress: false },
  ] satisfies Partial<ConnectionInput>[]
  const names = changed.map(change => desiredConnection({ ...INPUT, ...change }).name)
  t.equal(new Set([name, ...names]).size, changed.length + 1)
  const same = { ...INPUT, peer: { ...PEER, name: 'renamed', labels: { a: 'b' } } }
  t.equal(desiredConnection(same).name, name)
  t.same(parseConnectionName(name), { hostId: '1h2', credential: credentialName(INPUT.credentials) })
  t.notOk(name.includes('secret'))
  for (const foreign of ['drover', 'net-net', 'drover-1h2-xyz-00000000', ''])
    t.equal(parseConnectionName(foreign), undefined)
})

t.test('a host id with dashes is read whole', async t => {
  const connection = desiredConnection({ ...INPUT, peer: { ...PEER, hostId: 'a-12345678-b' } })
  t.equal(parseConnectionName(connection.name)?.hostId, 'a-12345678-b')
})

t.test('the previous secret is believed as well, as long as there is one', async t => {
  const keys = { kind: 'psk', current: 'new', previous: 'old' } as const
  t.same(acceptedCredentials(keys), [
    credentialName({ kind: 'psk', current: 'new' }),
    credentialName({ kind: 'psk', current: 'old' }),
  ])
  t.equal(acceptedCredentials({ kind: 'psk', current: 'new' }).length, 1)
})

t.test('certificates', async t => {
  const credentials: HostCertificate = {
    kind: 'certificate',
    certificate: 'CERT',
    privateKey: 'KEY',
    authority: 'CA',
    identity: 'alpha.example',
    identityOf: peer => `${peer.name}.example`,
  }
  const { connection } = sectionFor({ credentials })
  t.match(connection, {
    local: { auth: 'pubkey', id: 'alpha.example', certs: ['CERT'] },
    remote: { auth: 'pubkey', id: 'beta.example', cacerts: ['CA'] },
  })
  t.notOk(JSON.stringify(connection).includes('KEY'))
})

t.test('associations as charon lists them', async t => {
  const { name } = desiredConnection(INPUT)
  const child = (state: string, block: string) => ({
    name: 'containers',
    state,
    'local-ts': ['10.42.1.0/26'],
    'remote-ts': [block],
  })
  const event = {
    [name]: {
      uniqueid: '7',
      state: 'ESTABLISHED',
      'child-sas': {
        'containers-1': child('INSTALLED', '10.42.2.0/26'),
        'containers-2': child('DELETING', '10.42.2.64/26'),
      },
    },
    'net-net': { uniqueid: '8', state: 'ESTABLISHED' },
  }
  t.match(parseAssociations(event), [
    { id: 7, hostId: '1h2', isEstablished: true, isConnecting: false, remoteBlocks: ['10.42.2.0/26'] },
  ])
  t.match(parseAssociations({ [name]: { uniqueid: '9', state: 'CONNECTING' } }), [
    { id: 9, isConnecting: true, isEstablished: false, localBlocks: [], remoteBlocks: [] },
  ])
  t.same(parseAssociations({ [name]: 'text' }), [])
  t.same(parseAssociations({ [name]: { state: 'ESTABLISHED' } }), [])
})

t.test('what lines of the log mean', async t => {
  for (const [line, isRefusal] of [
    ["tried 1 shared key for '192.0.2.1' - '192.0.2.2', but MAC mismatched", true],
    ['received AUTHENTICATION_FAILED notify error', true],
    ["no trusted RSA public key found for 'beta'", true],
    ['received NO_PROPOSAL_CHOSEN notify error', false],
    ['received TS_UNACCEPTABLE notify, no CHILD_SA built', false],
    ['establishing IKE_SA failed, peer not responding', false],
  ] as const) {
    t.equal(failureOf(line)?.isRefusal, isRefusal, line)
  }
  t.equal(failureOf('sending packet: from 192.0.2.1[500] to 192.0.2.2[500] (240 bytes)'), undefined)
  t.match(parseLogEvent({ 'ikesa-name': 'x', msg: 'received AUTHENTICATION_FAILED notify error' }), {
    name: 'x',
    failure: { isRefusal: true },
  })
  t.equal(parseLogEvent({ msg: 'received AUTHENTICATION_FAILED notify error' }), undefined)
})

t.test('settings of charon', async t => {
  const files = charonFiles('/data/a "b" # c')
  const userspace = charonSettings(files, 'userspace', DEFAULT_TIMINGS)
  t.match(userspace, /load = .*kernel-libipsec! kernel-netlink socket-default! vici!\n/)
  t.match(userspace, /socket = "unix:\/\/\/data\/a \\"b\\" # c\/vici"/)
  t.match(charonSettings(files, 'kernel', DEFAULT_TIMINGS), /load = [^\n]*kernel-netlink! socket/)
  t.notMatch(charonSettings(files, 'kernel', DEFAULT_TIMINGS), /load = [^\n]*libipsec/)
  t.equal(userspace.split('{').length, userspace.split('}').length)
})

t.test('who encrypts', async t => {
  const asked: string[] = []
  const commands = (refusing: string | undefined, hasTun: boolean) => ({
    run: async (file: string, args: readonly string[]) => {
      asked.push([file, ...args].join(' '))
      if (refusing !== undefined && args.includes(refusing)) throw new Error('no')
    },
    hasFile: async () => hasTun,
  })
  t.equal(await probeBackend(commands(undefined, false)), 'kernel')
  t.ok(
    asked.every(line => line.startsWith('unshare --net ip ')),
    'nothing is done to the host',
  )
  t.equal(await probeBackend(commands('esp', true)), 'userspace')
  t.equal(await probeBackend(commands('link', true)), 'userspace', 'a kernel without xfrm interfaces')
  await t.rejects(probeBackend(commands('esp', false)), { code: 'KernelRefused', message: /neither ESP/ })
})

t.test('an address of the host in each of its blocks', async t => {
  t.same(hostAddressesOf('10.42.0.0/16', ['10.42.0.0/26', '10.42.1.64/26', 'nonsense']), [
    '10.42.0.2',
    '10.42.1.64',
  ])
})

t.test('firewall: through the tunnel or not at all', async t => {
  const { forward, nat, input } = ipsecRules(STATE)
  t.same(input, [])
  t.match(forward[0], /TCPMSS --clamp-mss-to-pmtu$/)
  t.equal(forward.at(-1), '-s 10.42.0.0/16 -d 10.42.0.0/16 -j DROP')
  t.same(nat, [
    '-s 10.42.0.1/32 -o ipsec+ -j SNAT --to-source 10.42.1.0',
    '! -s 10.42.0.0/16 -o ipsec+ -j SNAT --to-source 10.42.1.0',
  ])
  t.same(ipsecRules({ ...STATE, blocks: [] }).nat, [])
})

t.test('IPv6 beside IPv4', async t => {
  const state = { ...STATE, ipv6Prefix: requireIpv6Prefix('fd42::/96', 'test') }
  const { child } = sectionFor({ state })
  t.same(listOf(child, 'local_ts'), [...STATE.blocks, 'fd42::a2a:100/122', 'fd42::a2a:140/122'])
  t.same(listOf(child, 'remote_ts'), [...PEER.blocks, 'fd42::a2a:200/122'])
  const connection = desiredConnection({ ...INPUT, state })
  t.same(connection.remoteBlocks, ['10.42.2.0/26', 'fd42::a2a:200/122'], 'neither is enough')
  t.not(connection.name, desiredConnection(INPUT).name, 'what it carries is part of its name')

  t.same(ipsecRules6(STATE), { input: [], forward: [], nat: [] })
  const { forward, nat } = ipsecRules6(state)
  t.match(forward[0], /TCPMSS --clamp-mss-to-pmtu$/)
  t.equal(forward.at(-1), '-s fd42::a2a:0/112 -d fd42::a2a:0/112 -j DROP')
  t.same(nat, [
    '-s fd42::a2a:1/128 -o ipsec+ -j SNAT --to-source fd42::a2a:100',
    '! -s fd42::a2a:0/112 -o ipsec+ -j SNAT --to-source fd42::a2a:100',
  ])
})
