/** Our rules in the real kernel, by either of its two rule engines. */
import { existsSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import t from 'tap'
import type { Attachment } from '../../../agent/network/attachment.ts'
import { firewallRules } from '../../../agent/network/firewall-rules.ts'
import { firewallRules6 } from '../../../agent/network/firewall-rules6.ts'
import { planOf } from '../../../agent/network/settings.ts'
import { createLogger, requireIpv6Prefix } from '../../../kit/index.ts'
import { type DesiredRules, detectBackend, IptablesReconciler } from '../../../netplugins/iptables/index.ts'
import { vxlanRules6 } from '../../../netplugins/vxlan/vxlan-rules.ts'
import { inPrivateNetwork } from '../../lab/private-network.ts'
import { SETTINGS } from './host.ts'
import { run } from './lab.ts'

const skip = inPrivateNetwork(import.meta.filename)

// Many processes are started; on a busy machine that takes longer than the usual limit.
t.setTimeout(120_000)

const log = createLogger('firewall', 'silent')

function attachment(index: number, ports: Attachment['ports']): Attachment {
  return {
    networkName: 'drover',
    containerId: `c${index}`,
    interfaceName: 'eth0',
    namespace: `/run/netns/c${index}`,
    address: `10.42.0.${64 + index}`,
    mac: '02:d0:0a:2a:00:40',
    hostInterface: `vethr${index}`,
    ports,
  }
}

function port(hostPort: number, protocol: 'tcp' | 'udp' = 'tcp', bindAddress = '0.0.0.0') {
  return { bindAddress, hostPort, containerPort: 80, protocol }
}

function rulesFor(attachments: readonly Attachment[], dockerBridges: readonly string[] = []): DesiredRules {
  return firewallRules({ plan: planOf(SETTINGS), bridgeName: 'drover0', attachments, dockerBridges })
}

function desired(attachments: readonly Attachment[], dockerBridges?: readonly string[]): () => DesiredRules {
  return () => rulesFor(attachments, dockerBridges)
}

/** Rules with our names in them, or of a chain. */
function rules(matching = 'CATTLE_'): string[] {
  return run('iptables-save')
    .split('\n')
    .filter(line => line.startsWith('-A') && line.includes(matching))
}

/** Makes `iptables` in PATH the one of a back end, as Debian's alternatives do. */
function useBackend(backend: string): () => void {
  const directory = mkdtempSync(path.join(tmpdir(), 'iptables-'))
  for (const name of ['iptables', 'ip6tables'].flatMap(one => [one, `${one}-save`, `${one}-restore`])) {
    symlinkSync(`/usr/sbin/xtables-${backend}-multi`, path.join(directory, name))
  }
  const before = process.env.PATH
  process.env.PATH = `${directory}:${before}`
  return () => {
    process.env.PATH = before
    rmSync(directory, { recursive: true })
  }
}

for (const backend of ['nft', 'legacy']) {
  const program = `/usr/sbin/xtables-${backend}-multi`
  const missing = existsSync(program) ? false : `needs ${program}`
  t.test(`with the ${backend} engine`, { skip: skip || missing }, async t => {
    const restore = useBackend(backend)
    t.teardown(restore)
    t.equal(await detectBackend(), backend)
    const firewall = new IptablesReconciler(log)
    const one = attachment(0, [
      port(8080),
      port(53, 'udp'),
      port(8443, 'tcp', '192.0.2.1'),
      port(9000, 'tcp', '127.0.0.1'),
    ])
    const two = attachment(1, [port(8081)])

    await t.test('what is written is what is read back', async t => {
      t.ok((await firewall.verify(desired([one, two], ['br-0123456789ab']))) > 0)
      t.equal(await firewall.verify(desired([one, two], ['br-0123456789ab'])), 0)
      t.equal(
        await new IptablesReconciler(log).verify(desired([one, two], ['br-0123456789ab'])),
        0,
        'also to somebody new',
      )
      t.ok(rules('-i br-0123456789ab').length > 0)
      t.strictSame(rules('9000'), [], 'the loopback needs no rule')
    })
    await t.test('a change is a change of what differs', async t => {
      run('iptables', '-t', 'nat', '-A', 'POSTROUTING', '-s', '192.0.2.77', '-j', 'RETURN')
      await firewall.apply(desired([two]))
      t.strictSame(rules('8080'), [])
      t.ok(rules('--dport 8081').length > 0)
      await firewall.apply(desired([one, two]))
      t.equal(await firewall.verify(desired([one, two])), 0)
      t.equal(rules('192.0.2.77').length, 1)
    })
    await t.test('positions are kept', async t => {
      run('iptables', '-I', 'FORWARD', '1', '-p', 'tcp', '--dport', '2', '-j', 'ACCEPT')
      run('iptables', '-t', 'nat', '-D', 'PREROUTING', '1')
      run(
        'iptables',
        '-t',
        'nat',
        '-A',
        'PREROUTING',
        '-m',
        'addrtype',
        '--dst-type',
        'LOCAL',
        '-j',
        'CATTLE_PREROUTING',
      )
      run('iptables', '-t', 'nat', '-I', 'PREROUTING', '1', '-p', 'tcp', '--dport', '2', '-j', 'RETURN')
      // As earlier versions had it.
      run('iptables', '-t', 'raw', '-N', 'CATTLE_RAW_PREROUTING')
      const earlier = ['-m', 'addrtype', '--dst-type', 'LOCAL', '-j', 'CATTLE_RAW_PREROUTING']
      run('iptables', '-t', 'raw', '-A', 'PREROUTING', ...earlier)
      t.ok((await firewall.verify(desired([one, two]))) > 0)
      t.equal(await firewall.verify(desired([one, two])), 0)
      const chain = (name: string) => rules('').filter(rule => rule.startsWith(`-A ${name} `))
      t.match(chain('FORWARD').slice(0, 2), [/CATTLE_USER/, /CATTLE_FORWARD/])
      t.equal(rules('-j CATTLE_PREROUTING').length, 1)
      t.notMatch(run('iptables-save', '-t', 'raw'), 'CATTLE_')
    })
    await t.test('what iptables refuses is told, with the rule', async t => {
      const bad = rulesFor([one])
      const nat = { ...bad.nat, chains: new Map([...bad.nat.chains, ['CATTLE_OUTPUT', ['--no-such-match']]]) }
      const before = rules()
      await t.rejects(
        firewall.apply(() => ({ ...bad, nat })),
        { code: 'RulesRefused', message: /no-such-match/ },
      )
      t.strictSame(
        rules().filter(rule => rule.includes('CATTLE_OUTPUT')),
        before.filter(rule => rule.includes('CATTLE_OUTPUT')),
      )
      await firewall.apply(desired([one, two]))
      t.equal(await firewall.verify(desired([one, two])), 0)
    })
    await t.test('nothing of ours stays, everything of others does', async t => {
      run('iptables', '-N', 'FOREIGN')
      run('iptables', '-A', 'FOREIGN', '-j', 'CATTLE_FORWARD')
      run('iptables', '-A', 'CATTLE_USER', '-p', 'tcp', '--dport', '3', '-j', 'DROP')
      await firewall.remove()
      t.notMatch(run('iptables-save'), 'CATTLE_')
      t.match(run('iptables-save'), ':FOREIGN')
      t.equal(rules('192.0.2.77').length, 1)
      t.equal(rules('--dport 2').length, 2)
      for (const table of ['filter', 'nat']) run('iptables', '-t', table, '-F')
      run('iptables', '-X', 'FOREIGN')
    })
    await t.test('IPv6 has rules of its own', async t => {
      const prefix = requireIpv6Prefix('fd42::/96', 'prefix')
      const { clusterBlock } = SETTINGS
      const state = { address: '192.0.2.1', clusterBlock, blocks: [], bridgeName: 'drover0', peers: [] }
      const wanted = firewallRules6({
        prefix,
        clusterBlock,
        bridgeName: 'drover0',
        forwardsOurs: true,
        policy: new Map([['CATTLE_NETWORK_POLICY', ['-s fd42::a2a:0/112 -j RETURN']]]),
        overlay: vxlanRules6({ ...state, gateway: '10.42.0.1', ipv6Prefix: prefix }),
      })
      const firewall6 = new IptablesReconciler(log, 6)
      t.ok((await firewall6.verify(() => wanted)) > 0)
      t.equal(await firewall6.verify(() => wanted), 0)
      const forward = run('ip6tables', '-S', 'FORWARD').split('\n').slice(1, 4)
      t.match(forward, [/CATTLE_USER/, /CATTLE_NETWORK_POLICY/, /CATTLE_FORWARD/])
      t.notMatch(run('iptables-save'), 'CATTLE_')
      run('ip6tables', '-F')
      t.ok((await firewall6.verify(() => wanted)) > 0)
      await firewall6.remove()
      t.notMatch(run('ip6tables-save'), 'CATTLE_')
    })
    await t.test('a thousand published ports', async t => {
      const many = Array.from({ length: 40 }, (_, n) =>
        attachment(
          n,
          Array.from({ length: 25 }, (_, m) => port(10_000 + n * 25 + m)),
        ),
      )
      await firewall.apply(desired(many))
      await firewall.apply(desired([...many.slice(0, 20), ...many.slice(21)]))
      t.equal(await firewall.verify(desired([...many.slice(0, 20), ...many.slice(21)])), 0)
      await firewall.remove()
      t.notMatch(run('iptables-save'), 'CATTLE_')
    })
  })
}
