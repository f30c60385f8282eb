/** Charon itself: what it says over VICI, certificates, two that begin at once, and hosts on which it cannot be used. */
import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import t, { type Test } from 'tap'
import { createLogger } from '../../../kit/index.ts'
import { createCertificateAuthority, issueCertificate } from '../../../kit/x509/index.ts'
import { CharonProcess } from '../../../netplugins/ipsec/charon-process.ts'
import { charonFiles, charonSettings } from '../../../netplugins/ipsec/charon-settings.ts'
import { DEFAULT_TIMINGS } from '../../../netplugins/ipsec/connection.ts'
import { sectionsOf, textOf, ViciClient } from '../../../netplugins/ipsec/vici/index.ts'
import { inPrivateNetwork } from '../../lab/private-network.ts'
import type { SentCredentials } from './ipsec-host-process.ts'
import { IpsecHost, isRunning, makeWire, repeatedly, until } from './ipsec-lab.ts'

const skip = inPrivateNetwork(import.meta.filename)
const log = createLogger('test', 'silent')

t.setTimeout(240_000)

/** A directory in which a socket's path stays short enough, wherever this checkout is (unix(7): 107 bytes). */
function shortDirectory(t: Test): string {
  const directory = mkdtempSync(path.join(tmpdir(), 'charon-'))
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

t.test('charon and we understand each other', { skip }, async t => {
  const files = charonFiles(shortDirectory(t))
  const charon = new CharonProcess(files, log)
  t.teardown(() => charon.end())
  t.equal(await charon.find(), undefined)
  const client = await charon.start(charonSettings(files, 'userspace', DEFAULT_TIMINGS))
  const pid = await charon.pid()
  t.equal(textOf(await client.request('version'), 'daemon'), 'charon')
  await t.rejects(client.request('no-such-command'), { code: 'CharonRefused' })
  await t.rejects(
    client.listen('no-such-event', () => undefined),
    { code: 'CharonRefused' },
  )
  await t.rejects(client.request('load-conn', { bad: { mobike: 'perhaps' } }), {
    code: 'CharonRefused',
    message: /mobike/,
  })

  // More than one answer fits into, and more than one packet at a time.
  const names = Array.from({ length: 200 }, (_, number) => `connection-${number}`)
  const section = {
    remote_addrs: ['192.0.2.1'],
    local: { auth: 'psk' },
    remote: { auth: 'psk', id: 'somebody' },
  }
  await Promise.all(names.map(name => client.request('load-conn', { [name]: section })))
  const listed = await client.stream('list-conns', 'list-conn')
  t.same(
    listed
      .flatMap(sectionsOf)
      .map(([name]) => name)
      .toSorted(),
    names.toSorted(),
  )

  const lines: string[] = []
  const stop = await client.listen('log', event => lines.push(textOf(event, 'msg') ?? ''))
  await client.request('unload-conn', { name: 'connection-7' })
  await client.request('initiate', { ike: 'connection-8', timeout: '-1' }).catch(() => undefined)
  await until(
    'a line of the log',
    () => lines,
    list => list.length > 0,
  )
  await stop()

  const second = await new CharonProcess(files, log).find()
  t.equal(textOf(second && (await second.request('version')), 'daemon'), 'charon', 'an heir finds it')
  t.equal(await new CharonProcess(files, log).pid(), pid)
  second?.close()
  client.close()
  await charon.end()
  t.notOk(isRunning(pid ?? 0))
  await t.rejects(ViciClient.connect(files.socket), { code: 'ENOENT' })
})

t.test('a host on which charon cannot be used', { skip }, async t => {
  const files = charonFiles(shortDirectory(t))
  const settings = charonSettings(files, 'userspace', DEFAULT_TIMINGS)
  await t.rejects(new CharonProcess(files, log, '/nowhere/charon').start(settings), {
    code: 'StrongSwanMissing',
    mend: /strongswan-charon/,
  })
  const other = createSocket('udp4')
  other.bind(4500)
  await once(other, 'listening')
  const charon = new CharonProcess(files, log)
  await t.rejects(charon.start(settings), { code: 'PortInUse', message: /4500.*IKE daemon/ })
  other.close()
  await t.rejects(charon.start(settings.replace('nonce!', 'no-such-plugin!')), {
    code: 'CharonFailed',
    message: /ended while it was starting.*no-such-plugin/,
  })
  t.equal(await charon.pid(), undefined)
  const long = charonFiles(path.join(tmpdir(), 'x'.repeat(100)))
  await t.rejects(new CharonProcess(long, log).start(settings), { code: 'InvalidFormat' })
})

t.test('hosts with certificates, and one whose certificate is another host’s', { skip }, async t => {
  makeWire()
  const authority = await createCertificateAuthority('cluster', 1)
  const stranger = await createCertificateAuthority('stranger', 1)
  const certified = async (name: string, signer = authority): Promise<SentCredentials> => {
    const identity = `${name}.test`
    const pair = await issueCertificate(signer, {
      commonName: identity,
      dnsNames: [identity],
      usage: 'server',
      validDays: 1,
    })
    return { kind: 'certificate', ...pair, authority: authority.certificate, identity }
  }
  const [a, b, c, d] = [new IpsecHost(1), new IpsecHost(2), new IpsecHost(3), new IpsecHost(4)]
  const hosts = [a, b, c, d]
  t.teardown(async () => {
    for (const host of hosts) await host.remove()
    for (const host of hosts) host.dispose()
  })
  for (const host of hosts) await host.start()
  await t.rejects(a.apply(hosts), /keys/, 'before there is any certificate')
  t.match(await a.peerStates(), [{ state: 'down', reason: /keys/ }])
  a.keys = await certified('h1')
  b.keys = await certified('h2')
  c.keys = await certified('h2')
  d.keys = await certified('h4', stranger)
  const [ca, cb, cc] = [await a.addContainer(5), await b.addContainer(5), await c.addContainer(5)]
  for (const host of hosts) await host.apply(hosts)
  await a.untilPeer(b, 'up')
  await b.untilPeer(a, 'up')
  t.match(await ca.peer.transfer(cb.address, 80, 1_000_000), /sent 1000000/)
  await a.untilPeer(c, 'refused')
  await a.untilPeer(d, 'refused')
  t.notOk(await cc.peer.reaches('udp', ca.address, 53))
  // A new certificate takes the place of the old one without a pause.
  const [before] = await a.associations()
  a.keys = await certified('h1')
  await a.apply(hosts)
  await until(
    'new association',
    () => a.associations(),
    list =>
      list.some(
        entry =>
          entry.hostId === b.name && entry.credential !== before?.credential && entry.remoteBlocks.length > 0,
      ),
  )
  await a.untilPeer(b, 'up')
  t.match(await ca.peer.transfer(cb.address, 80, 1_000_000), /sent 1000000/)

  await t.test('two hosts that begin at the same moment end with one association', async t => {
    for (let round = 0; round < 3; round += 1) {
      await a.apply([a])
      await b.apply([b])
      for (const host of [a, b])
        await until(
          'nothing',
          () => host.associations(),
          list => list.length === 0,
        )
      await Promise.all([a, b].map(host => host.initiateWith(host === a ? b : a)))
      for (const host of [a, b])
        await until(
          'one',
          () => host.associations(),
          list => list.filter(e => e.isEstablished).length === 1,
        )
    }
    t.match(await ca.peer.transfer(cb.address, 80, 1_000_000), /sent 1000000/)
  })
  for (const { peer } of [ca, cb, cc]) await peer.stop()
})

t.test('keys are replaced while they are in use', { skip }, async t => {
  const keys = { kind: 'psk', current: 'a-secret-of-the-cluster' } as const
  const [a, b] = [new IpsecHost(7, keys), new IpsecHost(8, keys)]
  const hosts = [a, b]
  t.teardown(async () => {
    for (const host of hosts) await host.remove()
    for (const host of hosts) host.dispose()
  })
  for (const host of hosts) await host.start({ espLifetime: 2, ikeLifetime: 3 })
  const [ca, cb] = [await a.addContainer(5), await b.addContainer(5)]
  for (const host of hosts) await host.apply(hosts)
  await a.untilPeer(b, 'up')
  const stop = repeatedly(() => ca.peer.transfer(cb.address, 80, 200_000))
  const seen = new Set<number>()
  const note = async () => {
    for (const { id } of await a.associations()) seen.add(id)
    return seen.size
  }
  await until('third keys', note, count => count >= 3)
  t.ok((await stop()) > 0)
  await a.untilPeer(b, 'up')
  for (const { peer } of [ca, cb]) await peer.stop()
})
