/** Who may talk to whom: what policies are compiled to, judged by a model of the kernel's rules. */
import fc from 'fast-check'
import t from 'tap'
import {
  formatIpv4,
  ipv4BlockContains,
  parseIpv4,
  requireIpv4Block,
  requireIpv6Prefix,
} from '../../../kit/index.ts'
import { blocksWithout } from '../../../netplugins/policy/address-blocks.ts'
import {
  type CompiledPolicy,
  closedChains,
  compilePolicy,
  Ipv6Sets,
  type KubernetesNetworkPolicy,
  type NetworkPolicyRuleInput,
  PodIndex,
  type PolicyInput,
  type PolicyMember,
  policyChains,
} from '../../../netplugins/policy/index.ts'
import { changeLines, readSets } from '../../../netplugins/policy/kernel-sets.ts'
import { setName } from '../../../netplugins/policy/policy-chains.ts'
import { labelPredicate, readSelector } from '../../../netplugins/policy/selectors.ts'

interface Packet {
  readonly from: string
  readonly to: string
  readonly protocol: 'tcp' | 'udp' | 'sctp'
  readonly port: number
}

function isIn(policy: CompiledPolicy, key: string, address: string): boolean {
  const set = policy.sets.find(candidate => candidate.key === key)
  const value = parseIpv4(address) ?? 0
  return [...(set?.members ?? [])].some(member =>
    member.includes('/') ? ipv4BlockContains(requireIpv4Block(member, 'test'), value) : member === address,
  )
}

/** What the kernel does with the first packet of a connection. */
function allows(policy: CompiledPolicy, { from, to, protocol, port }: Packet): boolean {
  return policy.stages.every(stage => {
    const cluster = requireIpv4Block('10.42.0.0/16', 'test')
    const inCluster = (address: string) => ipv4BlockContains(cluster, parseIpv4(address) ?? 0)
    if (stage.name === 'network' && !(inCluster(from) && inCluster(to))) return true
    if (!isIn(policy, stage.guard.set, stage.guard.side === 'src' ? from : to)) return true
    const rule = stage.rules.find(
      candidate =>
        (candidate.from === undefined || isIn(policy, candidate.from, from)) &&
        (candidate.to === undefined || isIn(policy, candidate.to, to)) &&
        (candidate.ports === undefined ||
          candidate.ports.some(
            ports =>
              ports.protocol === protocol && port >= (ports.first ?? 0) && port <= (ports.last ?? 65_535),
          )),
    )
    return (rule?.action ?? stage.otherwise) === 'allow'
  })
}

function member(last: number, more: Partial<PolicyMember> = {}): PolicyMember {
  return { address: `10.42.0.${last}`, labels: {}, linkedServiceUuids: [], system: false, ...more }
}

/** Two stacks: `one` with web (10, 11) linked to db (20), `two` with other (30); 40 is of the system. */
const MEMBERS: readonly PolicyMember[] = [
  member(10, {
    stackUuid: 'one',
    serviceUuid: 'web',
    linkedServiceUuids: ['db'],
    labels: { tier: 'web', env: 'a' },
  }),
  member(11, {
    stackUuid: 'one',
    serviceUuid: 'web',
    linkedServiceUuids: ['db'],
    labels: { tier: 'web', env: 'b' },
  }),
  member(20, { stackUuid: 'one', serviceUuid: 'db', labels: { tier: 'db', env: 'a' } }),
  member(30, { stackUuid: 'two', serviceUuid: 'other', labels: { tier: 'web' } }),
  member(40, { system: true }),
]

const LOCAL = new Set(['10.42.0.11', '10.42.0.20', '10.42.0.30', '10.42.0.40', '10.42.0.99'])

function compiled(defaultAction: 'allow' | 'deny', ...rules: NetworkPolicyRuleInput[]): CompiledPolicy {
  return compilePolicy({ network: { defaultAction, rules, members: MEMBERS } }, LOCAL)
}

function reaches(
  policy: CompiledPolicy,
  from: number,
  to: number,
  port = 80,
  protocol: Packet['protocol'] = 'tcp',
) {
  return allows(policy, { from: `10.42.0.${from}`, to: `10.42.0.${to}`, port, protocol })
}

t.test('policies of the network object', async t => {
  t.strictSame(compiled('allow'), { stages: [], sets: [] }, 'nothing to do')
  t.strictSame(compiled('allow', { within: 'stack', action: 'allow' }).stages, [])

  const closed = compiled('deny')
  t.notOk(reaches(closed, 10, 20))
  t.notOk(reaches(closed, 10, 99), 'a container of this host of which nothing is known yet')
  t.ok(reaches(closed, 20, 10), 'judged where the destination is')
  t.ok(reaches(closed, 40, 20), 'the system reaches everybody')
  t.ok(reaches(closed, 10, 40))
  t.ok(allows(closed, { from: '192.0.2.9', to: '10.42.0.20', protocol: 'tcp', port: 80 }), 'from outside')

  const stack = compiled('deny', { within: 'stack', action: 'allow' })
  t.strictSame([reaches(stack, 10, 20), reaches(stack, 30, 20), reaches(stack, 10, 30)], [true, false, false])
  const service = compiled('deny', { within: 'service', action: 'allow' })
  t.strictSame([reaches(service, 10, 11), reaches(service, 10, 20)], [true, false])
  const linked = compiled('deny', { within: 'linked', action: 'allow' })
  t.strictSame(
    [reaches(linked, 10, 20), reaches(linked, 20, 11), reaches(linked, 30, 20)],
    [true, false, false],
  )

  const between = compiled('deny', { between: { selector: 'tier=web' }, action: 'allow' })
  t.strictSame([reaches(between, 10, 30), reaches(between, 10, 20)], [true, false])
  const grouped = compiled('deny', { between: { groupBy: 'env' }, action: 'allow' })
  t.strictSame(
    [reaches(grouped, 10, 20), reaches(grouped, 11, 20), reaches(grouped, 30, 20)],
    [true, false, false],
  )

  const port = compiled(
    'allow',
    {
      from: { selector: 'tier=web' },
      to: { selector: 'tier=db' },
      ports: ['5432/tcp', '53'],
      action: 'allow',
    },
    { to: { selector: 'tier=db' }, action: 'deny' },
  )
  t.strictSame(
    [
      reaches(port, 10, 20, 5432),
      reaches(port, 10, 20, 5432, 'udp'),
      reaches(port, 10, 20, 53, 'udp'),
      reaches(port, 10, 20),
    ],
    [true, false, true, false],
    'the first match counts',
  )
  t.ok(reaches(port, 10, 30))
  t.throws(() => compiled('deny', { ports: ['70000'], action: 'allow' }), { code: 'InvalidPolicy' })
  t.throws(() => compiled('deny', { to: { selector: 'a b c' }, action: 'allow' }), { code: 'InvalidPolicy' })
})

t.test('what is compiled grows with this host, not with the cluster', async t => {
  const members = Array.from({ length: 30_000 }, (_, n) =>
    member(0, { address: `10.${40 + (n >> 16)}.${(n >> 8) & 255}.${n & 255}`, stackUuid: `s${n % 3000}` }),
  )
  const local = new Set(members.slice(0, 30).map(entry => entry.address))
  const { stages, sets } = compilePolicy(
    { network: { defaultAction: 'deny', rules: [{ within: 'stack', action: 'allow' }], members } },
    local,
  )
  t.equal(stages[0]?.rules.length, 30)
  t.equal(sets.length, 31)
})

const PODS = [
  {
    namespace: 'shop',
    address: '10.42.0.10',
    labels: { app: 'web' },
    namedPorts: [{ name: 'http', port: 8080 }],
  },
  {
    namespace: 'shop',
    address: '10.42.0.11',
    labels: { app: 'web', v: '2' },
    namedPorts: [{ name: 'http', port: 8081 }],
  },
  { namespace: 'shop', address: '10.42.0.20', labels: { app: 'db' } },
  { namespace: 'ops', address: '10.42.0.30', labels: { app: 'probe' } },
]
const NAMESPACES = [
  { name: 'shop', labels: { 'kubernetes.io/metadata.name': 'shop' } },
  { name: 'ops', labels: { 'kubernetes.io/metadata.name': 'ops', team: 'ops' } },
]

function podIndex(): PodIndex {
  const index = new PodIndex()
  for (const { name, labels } of NAMESPACES) index.setNamespace(name, labels)
  for (const [n, pod] of PODS.entries()) index.putPod({ ...pod, name: `p${n}` })
  return index
}
const PODS_HERE = new Set(PODS.map(pod => pod.address))

function kubernetes(...specs: KubernetesNetworkPolicy['spec'][]): CompiledPolicy {
  const policies = specs.map((spec, n) => ({ metadata: { name: `p${n}`, namespace: 'shop' }, spec }))
  return compilePolicy({ kubernetes: { policies, pods: podIndex() } }, PODS_HERE)
}

t.test('NetworkPolicy of Kubernetes', async t => {
  t.strictSame(kubernetes().stages, [], 'without policies nobody is isolated')
  const web = { matchLabels: { app: 'web' } }
  const isolated = kubernetes({ podSelector: web })
  t.strictSame(
    [reaches(isolated, 20, 10), reaches(isolated, 10, 20), reaches(isolated, 30, 20)],
    [false, true, true],
  )
  t.notOk(
    allows(isolated, { from: '192.0.2.9', to: '10.42.0.10', protocol: 'tcp', port: 80 }),
    'nor from outside',
  )

  const open = kubernetes({ podSelector: {}, ingress: [{}] })
  t.ok(reaches(open, 30, 10), 'an empty rule allows everything')

  const fromDb = kubernetes({
    podSelector: web,
    ingress: [{ from: [{ podSelector: { matchLabels: { app: 'db' } } }] }],
  })
  t.strictSame(
    [reaches(fromDb, 20, 10), reaches(fromDb, 30, 10), reaches(fromDb, 11, 10)],
    [true, false, false],
  )
  const fromOps = kubernetes({
    podSelector: web,
    ingress: [{ from: [{ namespaceSelector: { matchLabels: { team: 'ops' } } }] }],
  })
  t.strictSame([reaches(fromOps, 30, 10), reaches(fromOps, 20, 10)], [true, false])
  const both = kubernetes({
    podSelector: web,
    ingress: [
      {
        from: [
          { namespaceSelector: { matchLabels: { team: 'ops' } }, podSelector: { matchLabels: { app: 'x' } } },
        ],
      },
    ],
  })
  t.notOk(reaches(both, 30, 10), 'both selectors must match')

  const block = kubernetes({
    podSelector: web,
    ingress: [
      {
        from: [{ ipBlock: { cidr: '192.0.2.0/24', except: ['192.0.2.8/29'] } }],
        ports: [{ port: 8000, endPort: 8010 }],
      },
    ],
  })
  const outside = (last: number, port: number) =>
    allows(block, { from: `192.0.2.${last}`, to: '10.42.0.10', protocol: 'tcp', port })
  t.strictSame(
    [outside(7, 8000), outside(7, 8010), outside(7, 8011), outside(9, 8000), outside(16, 8005)],
    [true, true, false, false, true],
  )

  const named = kubernetes({ podSelector: web, ingress: [{ ports: [{ port: 'http' }] }] })
  t.strictSame(
    [
      reaches(named, 20, 10, 8080),
      reaches(named, 20, 10, 8081),
      reaches(named, 20, 11, 8081),
      reaches(named, 20, 11, 8080),
    ],
    [true, false, true, false],
    "a name is every pod's own number",
  )
  const out = kubernetes({
    podSelector: { matchLabels: { app: 'db' } },
    policyTypes: ['Egress'],
    egress: [{ to: [{ podSelector: web }], ports: [{ port: 'http' }, { protocol: 'UDP', port: 53 }] }],
  })
  t.strictSame(
    [
      reaches(out, 20, 10, 8080),
      reaches(out, 20, 11, 8080),
      reaches(out, 20, 10, 53, 'udp'),
      reaches(out, 20, 30),
      reaches(out, 30, 20),
    ],
    [true, false, true, false, true],
  )
  const twice = kubernetes(
    { podSelector: web },
    { podSelector: { matchLabels: { v: '2' } }, ingress: [{ from: [{ podSelector: {} }] }] },
  )
  t.strictSame([reaches(twice, 20, 11), reaches(twice, 20, 10)], [true, false], 'policies add up')
  const noEgress = kubernetes({ podSelector: web, policyTypes: ['Egress'], egress: [] })
  t.strictSame([reaches(noEgress, 10, 20), reaches(noEgress, 20, 10)], [false, true])
  const together: PolicyInput = {
    network: { defaultAction: 'deny', rules: [], members: [] },
    kubernetes: {
      policies: [{ metadata: { name: 'all', namespace: 'shop' }, spec: { podSelector: {}, ingress: [{}] } }],
      pods: podIndex(),
    },
  }
  t.notOk(reaches(compilePolicy(together, PODS_HERE), 20, 10), 'a packet passes both kinds')
})

t.test('who is selected follows the changes', async t => {
  const index = podIndex()
  const scope = { pods: { matchLabels: { app: 'web' } }, namespaces: { name: 'shop' } }
  const ofTeam = { pods: {}, namespaces: { selector: { matchLabels: { team: 'ops' } } } }
  const addresses = (of: typeof scope | typeof ofTeam) => [...index.select(of).addresses].toSorted()
  const group = index.select(scope)
  t.strictSame(addresses(scope), ['10.42.0.10', '10.42.0.11'])
  t.strictSame(addresses(ofTeam), ['10.42.0.30'])
  index.putPod({ namespace: 'ops', name: 'new', labels: { app: 'web' } })
  t.equal(index.select(scope), group, 'the same members are the same object')
  t.strictSame(addresses(ofTeam), ['10.42.0.30'], 'who has no address cannot be meant')
  index.putPod({ namespace: 'ops', name: 'new', labels: { app: 'web' }, address: '10.42.0.31' })
  t.strictSame(addresses(ofTeam), ['10.42.0.30', '10.42.0.31'])
  index.setNamespace('shop', { team: 'ops' })
  index.setNamespace('ops', undefined)
  t.strictSame(addresses(ofTeam), ['10.42.0.10', '10.42.0.11', '10.42.0.20'])
  index.removePod({ namespace: 'shop', name: 'p0' })
  index.removePod({ namespace: 'shop', name: 'nobody' })
  t.strictSame(addresses(scope), ['10.42.0.11'])
  index.endRound()
  index.select(scope)
  index.endRound()
  t.strictSame(addresses(ofTeam), ['10.42.0.11', '10.42.0.20'], 'what was forgotten is found again')
})

t.test('any order of changes ends in the same groups', async t => {
  const team = fc.constantFrom(undefined, { team: 'a' }, { team: 'b' })
  const change = fc.oneof(
    fc.record({
      kind: fc.constant('namespace' as const),
      namespace: fc.constantFrom('x', 'y'),
      labels: team,
    }),
    fc.record({
      kind: fc.constant('pod' as const),
      namespace: fc.constantFrom('x', 'y'),
      name: fc.constantFrom('1', '2', '3'),
      labels: fc.constantFrom(undefined, { app: 'a' }, { app: 'b' }),
      address: fc.constantFrom(undefined, '10.42.0.1', '10.42.0.2'),
    }),
  )
  const scopes = [
    { pods: { matchLabels: { app: 'a' } }, namespaces: { name: 'x' } },
    { pods: {}, namespaces: { selector: { matchLabels: { team: 'a' } } } },
    { pods: { matchLabels: { app: 'b' } }, namespaces: { selector: {} } },
  ]
  const followed = (
    changes: readonly (typeof change extends fc.Arbitrary<infer C> ? C : never)[],
    ask: boolean,
  ) => {
    const index = new PodIndex()
    const groups = () => scopes.map(scope => [...index.select(scope).addresses].toSorted())
    for (const each of changes) {
      if (ask) groups()
      if (each.kind === 'namespace') index.setNamespace(each.namespace, each.labels)
      else if (each.labels === undefined) index.removePod(each)
      else {
        const { namespace, name, labels, address } = each
        index.putPod({ namespace, name, labels, ...(address === undefined ? {} : { address }) })
      }
    }
    return groups()
  }
  fc.assert(
    fc.property(fc.array(change, { maxLength: 30 }), changes => {
      t.strictSame(followed(changes, true), followed(changes, false))
    }),
  )
})

t.test('selectors', async t => {
  const cases: [string, Record<string, string>, boolean][] = [
    ['a=b', { a: 'b' }, true],
    ['a == b, c!=d', { a: 'b', c: 'e' }, true],
    ['a!=b', {}, true],
    ['a in (b, c),d', { a: 'c', d: '' }, true],
    ['a in (b, c)', { a: 'd' }, false],
    ['a notin (b)', {}, true],
    ['!a', { a: '1' }, false],
    ['io.rancher.stack.name=x/y', { 'io.rancher.stack.name': 'x/y' }, true],
  ]
  for (const [text, labels, expected] of cases) t.equal(readSelector(text)(labels), expected, text)
  for (const text of ['a b', '=b', 'a in b', '(', 'a=b,,!']) {
    t.throws(() => readSelector(text), { code: 'InvalidPolicy' }, text)
  }
  t.ok(labelPredicate({ matchExpressions: [{ key: 'a', operator: 'NotIn', values: ['x'] }] })({}))
  t.throws(() => labelPredicate({ matchExpressions: [{ key: 'a', operator: 'Like' }] }), {
    code: 'InvalidPolicy',
  })
})

t.test('blocks without parts of them', async t => {
  t.strictSame(blocksWithout('0.0.0.0/0'), ['0.0.0.0/1', '128.0.0.0/1'])
  t.strictSame(blocksWithout('10.0.0.0/30', ['10.0.0.1/32']), ['10.0.0.0/32', '10.0.0.2/31'])
  t.strictSame(blocksWithout('10.0.0.0/30', ['10.0.0.0/8']), [])
  t.strictSame(blocksWithout('::/0'), ['::/1', '8000::/1'])
  t.strictSame(blocksWithout('fd00::1/8', ['10.0.0.0/8']), ['fd00::/8'], 'IPv4 is no part of IPv6')
  t.strictSame(blocksWithout('fd00::/126', ['fd00::1/128']), ['fd00::/128', 'fd00::2/127'])
  t.strictSame(blocksWithout('0.0.0.0/0', ['::/0']), ['0.0.0.0/1', '128.0.0.0/1'])
  for (const wrong of ['x', 'fd00::', 'fd00::/129', '10.0.0.0/33', 'fd00::%lo/64']) {
    t.strictSame(blocksWithout(wrong), [], wrong)
  }
  const address = fc.integer({ min: 0, max: 255 })
  fc.assert(
    fc.property(
      address,
      fc.array(fc.tuple(address, fc.integer({ min: 24, max: 32 })), { maxLength: 5 }),
      (probe, parts) => {
        const except = parts.map(
          ([base, length]) => `192.0.2.${base - (base % 2 ** (32 - length))}/${length}`,
        )
        const value = parseIpv4(`192.0.2.${probe}`) ?? 0
        const holds = (block: string) => ipv4BlockContains(requireIpv4Block(block, 'test'), value)
        const left = blocksWithout('192.0.2.0/24', except).filter(holds).length
        return left === (except.some(holds) ? 0 : 1)
      },
    ),
  )
  t.equal(formatIpv4(0), '0.0.0.0')
})

t.test('in the words of the kernel', async t => {
  const policy = compiled('deny', {
    from: { selector: 'tier=web' },
    to: { selector: 'tier=db' },
    ports: ['80/tcp'],
    action: 'allow',
  })
  const chains = policyChains(policy, ['10.42.0.0/16'])
  const [local, web, db, system] = [
    'containers of this host',
    'selector tier=web',
    'selector tier=db',
    'system',
  ].map(key => setName(key))
  t.strictSame(
    [...chains],
    [
      [
        'CATTLE_NETWORK_POLICY',
        [
          '-m conntrack --ctstate RELATED,ESTABLISHED -j RETURN',
          '-m mark --mark 0x10000/0x10000 -j RETURN',
          `-s 10.42.0.0/16 -m set --match-set ${local} dst -j CATTLE_POLICY_NETWORK`,
        ],
      ],
      [
        'CATTLE_POLICY_NETWORK',
        [
          `-m set --match-set ${system} src -j RETURN`,
          `-m set --match-set ${system} dst -j RETURN`,
          `-p tcp -m set --match-set ${web} src -m set --match-set ${db} dst -m tcp --dport 80 -j RETURN`,
          '-j DROP',
        ],
      ],
    ],
  )
  t.match(policyChains(policy, ['192.0.2.96/28', '192.0.2.112/30']).get('CATTLE_NETWORK_POLICY')?.slice(2), [
    /^-s 192\.0\.2\.96\/28 -m set/,
    /^-s 192\.0\.2\.112\/30 -m set/,
  ])
  for (const { key } of policy.sets) t.ok(setName(key).length <= 31)
  const set = { key: 'x', type: 'net' as const, members: new Set(['10.0.0.1/32', '10.1.0.0/16']) }
  t.strictSame(changeLines(set, new Set(['10.0.0.1', '10.1.0.0/16'])), [])
  t.strictSame(
    changeLines(set, new Set(['10.0.0.1', '10.2.0.0/16'])).map(line => line.replace(/RNCH-\w+/, 'SET')),
    ['add SET 10.1.0.0/16 -exist', 'del SET 10.2.0.0/16 -exist'],
  )
  const many = new Set(Array.from({ length: 100 }, (_, n) => `10.3.0.${n}`))
  t.match(changeLines(set, many).at(-2), /^swap TMP-.* RNCH-/)
  t.strictSame(
    [
      ...readSets(
        `create RNCH-a hash:ip family inet\nadd RNCH-a 10.0.0.1\ncreate other hash:ip\nadd other 10.0.0.2\n`,
      ),
    ],
    [['RNCH-a', new Set(['10.0.0.1'])]],
  )
})

t.test('for IPv6', async t => {
  const prefix = requireIpv6Prefix('fd42::/96', 'test')
  const pods = new PodIndex()
  pods.putPod({ namespace: 'shop', name: 'web', address: '10.42.0.10', labels: { app: 'web' } })
  pods.putPod({ namespace: 'shop', name: 'db', address: '10.42.0.20', labels: { app: 'db' } })
  const cidrs = ['0.0.0.0/0', 'fd00:1::/64', '::/0'] as const
  const ingress = [
    { from: [{ podSelector: { matchLabels: { app: 'web' } } }], ports: [{ port: 80 }] },
    ...cidrs.map(cidr => ({ from: [{ ipBlock: { cidr, except: ['fd00:1::1/128', '10.0.0.0/8'] } }] })),
  ]
  const policy = compilePolicy(
    {
      kubernetes: {
        pods,
        policies: [{ metadata: { name: 'in', namespace: 'shop' }, spec: { podSelector: {}, ingress } }],
      },
    },
    new Set(['10.42.0.20']),
  )
  const sets6 = new Ipv6Sets(prefix)
  const derived = sets6.of(policy.sets)
  t.strictSame(
    derived.map(({ key }) => key),
    policy.sets.map(({ key }) => key),
    'the same rules name them',
  )
  const members = (key: string) => [...(derived.find(set => set.key === key)?.members ?? [])]
  t.strictSame(members('isolated ingress'), ['fd42::a2a:14'])
  t.strictSame(members('pods {"pods":{"matchLabels":{"app":"web"}},"namespaces":{"name":"shop"}}'), [
    'fd42::a2a:a',
  ])
  const blocks = (index: number) => members(`shop/in ingress ${index} peers blocks`)
  t.strictSame(blocks(1), [], 'every IPv4 address is none of IPv6')
  t.equal(blocks(2).length, 64)
  t.ok(blocks(2).includes('fd00:1::/128'))
  t.notOk(blocks(2).includes('fd00:1::1/128'))
  t.ok(blocks(3).includes('8000::/2'))
  const blocks4 = policy.sets.find(({ key }) => key === 'shop/in ingress 3 peers blocks')?.members
  t.strictSame(blocks4, new Set(), 'and the other way round')

  t.ok(
    sets6
      .of(policy.sets)
      .every(({ type, members: same }, index) => type === 'net' || same === derived[index]?.members),
    'the same members are the same object',
  )
  const [first] = derived
  t.match(first && changeLines(first, undefined), [
    /^create RNCH6-\w{20} hash:ip family inet6 maxelem \d+$/,
    /^add RNCH6-\w{20} fd42::a2a:14$/,
  ])
  const net = { key: 'x', type: 'net' as const, family: 6 as const, members: new Set(['fd00::1/128']) }
  t.strictSame(changeLines(net, new Set(['fd00::1'])), [])
  const many = new Set(Array.from({ length: 100 }, (_, n) => `fd01::${n}`))
  t.match(changeLines(net, many).at(-2), /^swap TMP6-\w{20} RNCH6-\w{20}$/)
  t.strictSame(
    [...readSets('create RNCH6-a hash:ip family inet6\nadd RNCH6-a fd42::1\ncreate TMP6-a hash:ip\n').keys()],
    ['RNCH6-a', 'TMP6-a'],
  )

  const chains = policyChains(policy, ['fd42::a2a:0/112'], 6)
  t.strictSame([...chains.keys()], ['CATTLE_NETWORK_POLICY', 'CATTLE_POLICY_INGRESS'])
  t.notMatch(JSON.stringify([...chains]), /RNCH-/)
  t.match(
    chains.get('CATTLE_POLICY_INGRESS')?.[0],
    /^-p tcp -m set --match-set RNCH6-\w+ src -m set .* -j RETURN$/,
  )
  const network = policyChains(compiled('deny'), ['fd42::a2a:0/112'], 6).get('CATTLE_NETWORK_POLICY')
  t.match(network?.at(-1), /^-s fd42::a2a:0\/112 -m set --match-set RNCH6-/)

  const goingOn = '-m conntrack --ctstate RELATED,ESTABLISHED -j RETURN'
  t.strictSame(
    [...closedChains(policy, ['fd42::a2a:0/112'], prefix)],
    [['CATTLE_NETWORK_POLICY', [goingOn, '-d fd42::a2a:14/128 -j DROP']]],
    'without sets, who is isolated is not reached at all',
  )
  t.match(
    closedChains(compiled('deny'), ['fd42::a2a:0/112'], prefix).get('CATTLE_NETWORK_POLICY')?.[1],
    '-s fd42::a2a:0/112 -d fd42::a2a:b/128 -j DROP',
    'other stages are about containers alone',
  )
  t.strictSame([...closedChains({ stages: [], sets: [] }, [], prefix)], [])
})
