/** From `kubectl apply` of a Service to the packets: three hosts, their pods, and the world outside. */
import t from 'tap'
import { DATA, until } from '../../lab/fleet.ts'
import { inPrivateNetwork } from '../../lab/private-network.ts'
import type { VirtualHost } from '../../lab/virtual-host.ts'
import { missingKubectl } from '../master/kubectl.ts'
import type { Peer } from '../network/lab.ts'
import type { Protocol } from '../network/peer.ts'
import { answers, PodFleet, type RunningPod } from './pods.ts'

const skip = (await missingKubectl()) || inPrivateNetwork(import.meta.filename)

t.setTimeout(300_000)

const TCP = 8080
const UDP = 5353
const NODE_PORT = 30_080
const LOCAL_NODE_PORT = 30_081
const UDP_NODE_PORT = 30_053
const EXTERNAL_ADDRESS = '198.51.100.7'
const BALANCER_ADDRESS = '198.51.100.8'

function service(name: string, spec: object): object {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name },
    spec: { selector: { app: 'web' }, ports: [{ name: 'main', port: 80, targetPort: TCP }], ...spec },
  }
}

async function kill(host: VirtualHost, pid: number): Promise<void> {
  await host.run('busybox', ['kill', '-9', String(pid)])
}

t.test('services of Kubernetes', { skip, timeout: 290_000 }, async t => {
  const world = await PodFleet.start(t, 'services', 3)
  const { fleet } = world
  const outside = await fleet.lab.addMachine(9, 'outside')
  const members = [1, 2, 3].map(number => fleet.host(number))
  const pods = await world.run(
    [
      ...[1, 2, 3].map(host => ({ name: `web-${host}`, host, labels: { app: 'web' } })),
      ...[1, 2, 3].map(host => ({ name: `client-${host}`, host })),
    ],
    [
      ['tcp', TCP],
      ['udp', UDP],
    ],
  )
  const webs = pods.slice(0, 3)
  const clients = pods.slice(3)
  const [client] = clients as [RunningPod]
  const hosts = await Promise.all(members.map(host => world.onHost(host)))
  const stranger = await world.onHost(outside)
  const places: (readonly [string, Peer])[] = [
    ...clients.map(({ name, peer }) => [name, peer] as const),
    ...hosts.map((peer, index) => [`h${index + 1}`, peer] as const),
  ]
  const addressOf = async (name: string) => {
    const path = 'jsonpath={.spec.clusterIP}'
    return (await fleet.kubectl(['get', 'service', name, '-o', path])).stdout
  }
  /** Who answers a number of times. */
  const seenBy = async (
    peer: Peer,
    address: string,
    port: number,
    protocol: Protocol = 'tcp',
    times = 30,
  ) => {
    const seen = new Map<string, Set<string>>()
    for (let time = 0; time < times; time += 1) {
      const answer = await peer.ask(protocol, address, port, 3_000)
      const [who = '', from = ''] = answer.split(' sees ')
      seen.set(who, (seen.get(who) ?? new Set()).add(from.split(' ')[0] ?? ''))
    }
    return seen
  }
  const everybody = ['web-1', 'web-2', 'web-3']
  const serves = (what: string, peer: Peer, address: string, port: number, protocol: Protocol = 'tcp') =>
    answers(
      what,
      () => peer.ask(protocol, address, port, 1_000),
      answer => / sees /.test(answer),
    )
  const refuses = (what: string, peer: Peer, address: string, port: number, protocol: Protocol = 'tcp') =>
    answers(
      what,
      () => peer.ask(protocol, address, port, 1_000),
      answer => /ECONNREFUSED/.test(answer),
    )

  await world.apply(
    service('web', {
      ports: [
        { name: 'main', port: 80, targetPort: TCP },
        { name: 'udp', protocol: 'UDP', port: 53, targetPort: UDP },
      ],
    }),
    service('none', { selector: { app: 'nobody' } }),
    service('heads', { clusterIP: 'None' }),
  )
  const web = await addressOf('web')

  await t.test('by its address, from every pod and every host, to every endpoint', async t => {
    for (const [name, peer] of places) await serves(name, peer, web, 80)
    for (const [name, peer] of places) {
      const seen = await seenBy(peer, web, 80)
      t.strictSame([...seen.keys()].toSorted(), everybody, `${name} is led to all of them`)
      const own = clients.find(each => each.name === name)
      if (own === undefined) continue
      const sources = new Set([...seen.values()].flatMap(each => [...each]))
      t.strictSame([...sources], [own.address], `and ${name} is seen as who it is`)
    }
  })
  await t.test('by its name', async t => {
    for (const { name, host } of clients) {
      const [container] = await fleet.docker([`io.kubernetes.pod.name=${name}`], host)
      const command = ['exec', container?.id ?? '', 'nslookup', 'web.default.svc.cluster.local']
      const { stdout } = await host.run('docker', command, { acceptedExitCodes: [0, 1] })
      t.match(stdout, web)
    }
  })
  await t.test('from containers that Docker connects', async t => {
    const ask = ['sh', '-c', `nc -w 3 ${web} 80 < /dev/null`]
    for (const host of members) {
      const seen = new Set<string>()
      await until(`${host.name} reaches all endpoints`, 20_000, async () => {
        const run = ['run', '--rm', 'drover/busybox:1', ...ask]
        const { stdout } = await host.run('docker', run, { acceptedExitCodes: [0, 1] })
        seen.add(stdout.split(' ')[0] ?? '')
        return everybody.every(name => seen.has(name))
      })
      t.strictSame([...seen].toSorted(), everybody, host.name)
    }
  })
  await t.test('the API of the cluster, by its service', async t => {
    const token = (await fleet.kubectl(['create', 'token', 'default'])).stdout.trim()
    const authority = (await fleet.first.run('cat', [`${DATA}/tls/ca.crt`])).stdout
    for (const { peer, name } of clients) {
      for (const host of ['10.43.0.1', 'kubernetes.default.svc']) {
        const answer = await peer.fetch({
          host,
          address: '10.43.0.1',
          port: 443,
          path: '/version',
          token,
          authority,
        })
        t.match(JSON.parse(answer), { major: '1' }, `${name} asks ${host}`)
      }
    }
    const pods = '/api/v1/namespaces/default/pods'
    const refused = { host: '10.43.0.1', address: '10.43.0.1', port: 443, path: pods, token, authority }
    t.match(JSON.parse(await client.peer.fetch(refused)), {
      reason: 'Forbidden',
      message: /system:serviceaccount:default:default/,
    })
  })
  await t.test('by UDP', async t => {
    for (const [name, peer] of places) {
      await serves(name, peer, web, 53, 'udp')
      t.strictSame([...(await seenBy(peer, web, 53, 'udp')).keys()].toSorted(), everybody, name)
    }
  })
  await t.test('a pod that is led to itself', async t => {
    for (const pod of webs) {
      const seen = await seenBy(pod.peer, web, 80)
      t.strictSame([...seen.keys()].toSorted(), everybody, pod.name)
    }
  })
  await t.test('without endpoints, it is refused', async () => {
    const none = await addressOf('none')
    for (const [name, peer] of places) await refuses(name, peer, none, 80)
  })
  await t.test('node ports, from outside and from everybody', async t => {
    await world.apply(
      service('open', { type: 'NodePort', ports: [{ port: 80, targetPort: TCP, nodePort: NODE_PORT }] }),
      service('near', {
        type: 'NodePort',
        selector: { app: 'web', only: 'first' },
        externalTrafficPolicy: 'Local',
        ports: [{ port: 80, targetPort: TCP, nodePort: LOCAL_NODE_PORT }],
      }),
      service('udp', {
        type: 'NodePort',
        ports: [{ protocol: 'UDP', port: 53, targetPort: UDP, nodePort: UDP_NODE_PORT }],
      }),
      service('empty', {
        type: 'NodePort',
        selector: { app: 'nobody' },
        ports: [{ port: 80, nodePort: 30_099 }],
      }),
    )
    await fleet.kubectl(['label', 'pod', 'web-1', 'only=first'])
    for (const host of members) {
      await serves('outside', stranger, host.address, NODE_PORT)
      t.strictSame([...(await seenBy(stranger, host.address, NODE_PORT)).keys()].toSorted(), everybody)
      await serves('outside', stranger, host.address, UDP_NODE_PORT, 'udp')
      for (const [name, peer] of places) await serves(name, peer, host.address, NODE_PORT)
      await refuses('outside', stranger, host.address, 30_099)
    }
    await serves('outside', stranger, members[0]?.address ?? '', LOCAL_NODE_PORT)
    const seen = await seenBy(stranger, members[0]?.address ?? '', LOCAL_NODE_PORT)
    t.strictSame(
      [...seen].map(([who, from]) => [who, ...from]),
      [['web-1', outside.address]],
      'the client is seen',
    )
    const second = members[1]?.address ?? ''
    await answers(
      'no endpoint there',
      () => stranger.ask('tcp', second, LOCAL_NODE_PORT, 600),
      answer => answer === 'silence',
    )
    await serves('a pod of that host', clients[1]?.peer as Peer, second, LOCAL_NODE_PORT)
    await serves('that host', hosts[1] as Peer, second, LOCAL_NODE_PORT)
  })
  await t.test('external addresses', async t => {
    await world.apply(service('far', { externalIPs: [EXTERNAL_ADDRESS] }))
    await outside.run('ip', ['route', 'add', `${EXTERNAL_ADDRESS}/32`, 'via', members[1]?.address ?? ''])
    await serves('outside', stranger, EXTERNAL_ADDRESS, 80)
    t.strictSame([...(await seenBy(stranger, EXTERNAL_ADDRESS, 80)).keys()].toSorted(), everybody)
    await serves('a pod', client.peer, EXTERNAL_ADDRESS, 80)
  })
  await t.test('a load balancer for some clients, which asks hosts for endpoints', async t => {
    const patch = (part: string, body: object) =>
      fleet.kubectl([
        'patch',
        'service',
        'balanced',
        '--type=merge',
        ...(part === '' ? [] : [`--subresource=${part}`]),
        '-p',
        JSON.stringify(body),
      ])
    await world.apply(
      service('balanced', {
        type: 'LoadBalancer',
        selector: { app: 'web', only: 'first' },
        externalTrafficPolicy: 'Local',
        loadBalancerSourceRanges: [`${outside.address}/32`],
      }),
    )
    await patch('status', { status: { loadBalancer: { ingress: [{ ip: BALANCER_ADDRESS }] } } })
    const [first, second] = members as [VirtualHost, VirtualHost]
    await outside.run('ip', ['route', 'add', `${BALANCER_ADDRESS}/32`, 'via', first.address])
    await serves('outside', stranger, BALANCER_ADDRESS, 80)
    const silent = (who: string, peer: Peer) =>
      answers(
        who,
        () => peer.ask('tcp', BALANCER_ADDRESS, 80, 600),
        answer => answer === 'silence',
      )
    await silent('a pod, which is not one of them', client.peer)
    const path = 'jsonpath={.spec.healthCheckNodePort}'
    const port = (await fleet.kubectl(['get', 'service', 'balanced', '-o', path])).stdout
    const ask = async (host: VirtualHost) => {
      const url = `http://${host.address}:${port}/healthz`
      const { stdout } = await outside.run(
        'curl',
        ['--silent', '--max-time', '3', '--write-out', ' %{http_code}', url],
        {
          acceptedExitCodes: [0, 7, 28],
        },
      )
      return stdout
    }
    await until('the host with an endpoint says so', 20_000, async () =>
      /^\{"service":\{"namespace":"default","name":"balanced"\},"localEndpoints":1,.*\} 200$/.test(
        await ask(first),
      ),
    )
    t.match(await ask(second), /"localEndpoints":0,.* 503$/)
    await patch('', { spec: { loadBalancerSourceRanges: ['203.0.113.0/24'] } })
    await silent('outside, which is none of them any more', stranger)
    await patch('', { spec: { loadBalancerSourceRanges: null } })
    await serves('outside again', stranger, BALANCER_ADDRESS, 80)
    await world.delete('service', 'balanced')
    await until('nobody listens', 20_000, async () => (await ask(first)).endsWith(' 000'))
  })
  await t.test('endpoints of the own host first', async t => {
    await world.apply(service('nearby', { trafficDistribution: 'PreferSameNode' }))
    const nearby = await addressOf('nearby')
    for (const [index, { peer }] of clients.entries()) {
      await answers(
        'its own',
        async () => String([...(await seenBy(peer, nearby, 80)).keys()]),
        answer => answer === `web-${index + 1}`,
      )
    }
    await fleet.kubectl(['label', 'pod', 'web-1', 'app-', 'was=web'])
    await until('others answer where there is none', 20_000, async () => {
      const seen = await seenBy(client.peer, nearby, 80).catch(() => new Map<string, Set<string>>())
      return String([...seen.keys()].toSorted()) === 'web-2,web-3'
    })
    await fleet.kubectl(['label', 'pod', 'web-1', 'app=web', 'was-'])
    await world.delete('service', 'nearby')
    for (const [name, peer] of places) await serves(name, peer, web, 80)
    t.pass()
  })
  await t.test('endpoints that somebody keeps by hand', async t => {
    const [first, second] = webs as [RunningPod, RunningPod, RunningPod]
    const endpoints = ({ address }: RunningPod) => ({
      apiVersion: 'v1',
      kind: 'Endpoints',
      metadata: { name: 'manual' },
      subsets: [{ addresses: [{ ip: address }], ports: [{ name: 'main', port: TCP }] }],
    })
    await world.apply(service('manual', { selector: null }), endpoints(first))
    const manual = await addressOf('manual')
    const answersAs = (name: string) =>
      answers(
        `${name} answers`,
        () => client.peer.ask('tcp', manual, 80, 1_000),
        answer => answer.startsWith(`${name} sees `),
      )
    await answersAs(first.name)
    await world.apply(endpoints(second))
    await answersAs(second.name)
    await world.delete('service', 'manual')
    await until('its endpoints go with it', 20_000, async () => {
      const { stdout } = await fleet.kubectl(['get', 'endpoints,endpointslices', '-o', 'name'])
      return !stdout.includes('/manual')
    })
    t.pass()
  })
  await t.test('endpoints of the own zone first', async t => {
    const zone = 'topology.kubernetes.io/zone'
    const expect = async (near: readonly string[]) => {
      for (const [index, { peer, name }] of clients.entries()) {
        await answers(
          `those of its zone answer ${name}`,
          async () => String([...(await seenBy(peer, zonal, 80)).keys()].toSorted()),
          answer => answer === near[index],
        )
      }
    }
    for (const [node, where] of [
      ['h1', 'east'],
      ['h2', 'east'],
      ['h3', 'west'],
    ] as const) {
      await fleet.kubectl(['label', 'node', node, `${zone}=${where}`])
    }
    await world.apply(service('zonal', { trafficDistribution: 'PreferClose' }))
    const zonal = await addressOf('zonal')
    await expect(['web-1,web-2', 'web-1,web-2', 'web-3'])
    await fleet.kubectl(['label', 'node', 'h2', `${zone}=west`, '--overwrite'])
    await expect(['web-1', 'web-2,web-3', 'web-2,web-3'])
    await fleet.kubectl(['label', 'node', 'h3', `${zone}-`])
    await expect([String(everybody), String(everybody), String(everybody)])
    await fleet.kubectl(['label', 'node', 'h1', 'h2', `${zone}-`])
    await world.delete('service', 'zonal')
    t.pass()
  })
  await t.test('clients stay with their endpoint', async t => {
    await world.apply(service('sticky', { sessionAffinity: 'ClientIP' }))
    const sticky = await addressOf('sticky')
    for (const [name, peer] of places) {
      await serves(name, peer, sticky, 80)
      t.equal((await seenBy(peer, sticky, 80)).size, 1, name)
    }
  })
  await t.test('endpoints of the own host alone', async t => {
    await world.apply(service('inside', { internalTrafficPolicy: 'Local' }))
    const inside = await addressOf('inside')
    for (const [index, { peer }] of clients.entries()) {
      await serves('its own', peer, inside, 80)
      t.strictSame([...(await seenBy(peer, inside, 80)).keys()], [`web-${index + 1}`])
    }
  })
  for (const [kind, options] of [
    ['routed', { routed: { provider: 'hostgw' } }],
    ['ipsec', {}],
    ['vxlan', {}],
  ] as const) {
    await t.test(`on a network of kind ${kind}`, async t => {
      await fleet.drover(['network', 'set', kind, '--options', JSON.stringify(options), '--timeout', '60s'])
      await until(`hosts are connected by ${kind}`, 60_000, async () => {
        const reports = (await fleet.list('hosts')).map(
          ({ network }) => network as { kind: string; up: number; failure: string | null } | null,
        )
        return reports.every(report => report?.kind === kind && report.up === 2 && report.failure === null)
      })
      for (const [name, peer] of places) {
        await serves(name, peer, web, 80)
        t.strictSame([...(await seenBy(peer, web, 80)).keys()].toSorted(), everybody, name)
      }
      for (const host of members) {
        await serves('outside', stranger, host.address, NODE_PORT)
        t.strictSame([...(await seenBy(stranger, host.address, NODE_PORT)).keys()].toSorted(), everybody)
        t.strictSame([...(await seenBy(client.peer, host.address, NODE_PORT)).keys()].toSorted(), everybody)
      }
    })
  }
  await t.test('an endpoint that goes', async () => {
    const asker = clients[2] as RunningPod
    // One socket that keeps asking: its way must be forgotten.
    const answered = await asker.peer.askFrom(40_000, web, 53)
    const [gone = ''] = answered.split(' sees ')
    await world.delete('pod', gone, '--grace-period=0', '--force')
    const left = everybody.filter(name => name !== gone)
    await answers(
      'the socket finds another endpoint',
      () => asker.peer.askFrom(40_000, web, 53),
      answer => left.some(name => answer.startsWith(`${name} sees`)),
    )
    for (const [name, peer] of places) {
      await until(`${name} is led to those that are left`, 20_000, async () => {
        const seen = await seenBy(peer, web, 80).catch(() => new Map<string, Set<string>>())
        return String([...seen.keys()].toSorted()) === String(left)
      })
    }
    const sticky = await addressOf('sticky')
    for (const [name, peer] of places) await serves(name, peer, sticky, 80)
  })
  await t.test('somebody flushes the rules', async () => {
    await fleet.first.run('nft', ['delete', 'table', 'ip', 'drover_services'])
    await serves('h1 again', hosts[0] as Peer, web, 80)
  })
  await t.test('without a server, and with an agent that starts anew', async () => {
    await until('the host has written down what it knows', 20_000, async () => {
      const kept = ['services.json', 'slices.json'].map(name => `${DATA}/agent/cluster/${name}`)
      return (await fleet.first.run('cat', kept, { acceptedExitCodes: [0, 1] })).stdout.includes('"inside"')
    })
    for (const daemon of ['server', 'agent'] as const) await kill(fleet.first, await fleet.daemonPid(daemon))
    await fleet.first.run('nft', ['delete', 'table', 'ip', 'drover_services'])
    fleet.first.start('./drover', ['agent', '--data', `${DATA}/agent`], 'agent-alone')
    await serves('h1 again', hosts[0] as Peer, web, 80)
    await serves('its client', client.peer, web, 80)
    await kill(fleet.first, await fleet.daemonPid('agent'))
    await fleet.quickstart()
    await world.delete('service', 'web')
    await answers(
      'no such service',
      () => client.peer.ask('tcp', web, 80, 600),
      answer => !/ sees /.test(answer),
    )
  })
  await t.test('nothing stays', async t => {
    const third = members[2] as VirtualHost
    await kill(third, Number((await third.run('cat', [`${DATA}/agent/agent.lock`])).stdout))
    t.match((await third.run('nft', ['list', 'tables'])).stdout, 'drover_services')
    await third.run('./drover', ['agent', '--uninstall'], { deadline: 60_000 })
    t.notMatch((await third.run('nft', ['list', 'tables'])).stdout, 'drover')
    t.notMatch((await third.run('ip', ['route'])).stdout, '10.43.')
  })
})
