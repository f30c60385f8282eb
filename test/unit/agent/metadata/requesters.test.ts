/** Which addresses are whose. */
import t from 'tap'
import { LocalAddresses, MetadataModel, Requesters, SignalBoard } from '../../../../agent/metadata/index.ts'
import { container, environment } from './objects.ts'

function ipv4(address: string, prefix: number) {
  return {
    address,
    netmask: '',
    family: 'IPv4' as const,
    mac: '',
    internal: false,
    cidr: `${address}/${prefix}`,
  }
}

t.test('addresses of the host and of its containers', async t => {
  let time = 0
  let reads = 0
  const interfaces: NodeJS.Dict<ReturnType<typeof ipv4>[]> = {
    lo: [ipv4('127.0.0.1', 8), ipv4('169.254.169.250', 32)],
    eth0: [ipv4('192.0.2.10', 24)],
    docker0: [ipv4('172.17.0.1', 16)],
    drover0: [ipv4('10.42.0.1', 16)],
  }
  const addresses = new LocalAddresses({
    isContainerBridge: name => name === 'docker0' || name === 'drover0',
    interfaces: () => {
      reads += 1
      return interfaces
    },
    clock: { now: () => time, monotonic: () => time, after: () => () => undefined },
  })
  for (const address of [
    '127.0.0.1',
    '127.0.0.5',
    '169.254.169.250',
    '192.0.2.10',
    '172.17.0.1',
    '10.42.0.1',
  ]) {
    t.ok(addresses.isHostAddress(address), address)
    t.notOk(addresses.isContainerAddress(address), address)
  }
  for (const address of ['172.17.0.2', '172.17.255.254', '10.42.7.7']) {
    t.notOk(addresses.isHostAddress(address), address)
    t.ok(addresses.isContainerAddress(address), address)
  }
  for (const address of ['192.0.2.11', '172.18.0.2', '198.51.100.1', '', 'x', '::1']) {
    t.notOk(addresses.isContainerAddress(address), address)
  }
  t.equal(reads, 1)
  interfaces['br-1'] = [ipv4('172.19.0.1', 16)]
  t.notOk(addresses.isHostAddress('172.19.0.1'))
  time += 600
  t.ok(addresses.isHostAddress('172.19.0.1'), 'a new address is found when somebody asks for it')
  t.equal(reads, 2)
  delete interfaces.eth0
  time += 6_000
  t.notOk(addresses.isHostAddress('192.0.2.10'), 'an old one is forgotten after a while')
})

t.test('who asks', async t => {
  const model = new MetadataModel()
  const requesters = new Requesters({
    model,
    signals: new SignalBoard(model),
    addresses: {
      isHostAddress: address => address === '10.42.0.1',
      isContainerAddress: address => address.startsWith('10.42.'),
    },
  })
  const owner = environment('owner')
  const here = { hostUuid: 'here', primaryIp: '10.42.0.2' }
  const primary = container('primary', owner, here)
  const sidekick = container('sidekick', owner, { ...here, sidekick: 'helper' })
  model.apply(
    [
      ...[owner, primary, sidekick],
      container('impostor', owner, { hostUuid: 'here', primaryIp: '10.42.0.1' }),
      container('elsewhere', owner, { hostUuid: 'there', primaryIp: '10.42.0.3' }),
    ],
    [],
  )
  const who = (address: string) => {
    const requester = requesters.of(address)
    return requester?.kind === 'container' ? requester.instance.name : requester?.kind
  }
  t.equal(who('10.42.0.2'), 'unknown', 'nobody is known before it is known which host this is')
  const { version } = requesters
  requesters.setHost('here')
  t.not(requesters.version, version)
  t.equal(who('10.42.0.2'), 'primary')
  t.equal(who('10.42.0.1'), 'host', 'an address of the host is nobody else’s')
  t.equal(who('10.42.0.3'), 'unknown', 'a container of another host')
  t.equal(who('192.0.2.1'), undefined)
  const replacement = container('replacement', owner, here)
  model.apply([{ ...primary, state: 'stopped' }, replacement], [])
  t.equal(who('10.42.0.2'), 'replacement', 'who runs, not who ran')
  model.apply([], [primary.uuid, replacement.uuid])
  t.equal(who('10.42.0.2'), 'sidekick')
})
