/** The scheduler's pure parts: demand, filters, choice. */
import t from 'tap'
import type { Frozen, Node, Pod } from '../../../../server/master/index.ts'
import { chooseNode, type Surroundings } from '../../../../server/master/scheduler/choose-node.ts'
import {
  explainUnschedulable,
  meetsTerm,
  reasonsAgainst,
  tolerates,
} from '../../../../server/master/scheduler/filters.ts'
import { Neighbourhood } from '../../../../server/master/scheduler/neighbourhood.ts'
import { NodeImages } from '../../../../server/master/scheduler/node-images.ts'
import { NodeState, nodeFacts } from '../../../../server/master/scheduler/node-state.ts'
import { podDemand, podRequests } from '../../../../server/master/scheduler/pod-demand.ts'
import { choosePreemption } from '../../../../server/master/scheduler/preemption.ts'
import { TopologyCounts } from '../../../../server/master/scheduler/topology-counts.ts'
import { node, pod } from './temporary-master.ts'

function demand(name: string, spec: object = {}, labels: object = {}) {
  const object = pod(name, spec, { namespace: 'default', uid: `uid-${name}`, labels })
  return podDemand(object as unknown as Frozen<Pod>)
}

function requests(cpu: string, memory = '0') {
  return { containers: [{ name: 'a', resources: { requests: { cpu, memory } } }] }
}

function state(name: string, extra: Parameters<typeof node>[1] = {}) {
  const made = new NodeState(name)
  made.facts = nodeFacts(node(name, extra) as unknown as Frozen<Node>)
  return made
}

/** Of a cluster where pods are only where their nodes say. */
function surroundings(wanted: ReturnType<typeof demand>, nodes: readonly NodeState[]): Surroundings {
  const counts = new TopologyCounts(() => ({}))
  for (const { pods, facts } of nodes) for (const each of pods) counts.add(each, facts?.labels ?? {})
  return {
    neighbourhood: new Neighbourhood(wanted, nodes, counts),
    volumeTerms: [],
    nominated: each => each,
    imageScores: new Map(),
  }
}

t.test('what a pod demands', async t => {
  const container = (cpu: string, more: object = {}) => ({
    name: 'x',
    resources: { requests: { cpu } },
    ...more,
  })
  const cpu = (spec: object) => podRequests(spec as Frozen<Pod>['spec']).cpu
  t.equal(cpu({ containers: [container('100m'), container('1')] }), 1100)
  t.equal(
    cpu({ containers: [container('1')], initContainers: [container('3')] }),
    3000,
    'the largest init container',
  )
  t.equal(
    cpu({ containers: [container('1')], initContainers: [container('2', { restartPolicy: 'Always' })] }),
    3000,
    'a sidecar adds',
  )
  t.equal(
    cpu({
      containers: [container('1')],
      initContainers: [container('2', { restartPolicy: 'Always' }), container('4')],
    }),
    6000,
    'an init container runs beside the sidecars before it',
  )
  t.equal(cpu({ containers: [container('1')], overhead: { cpu: '250m' } }), 1250)
  const gpu = demand('g', {
    containers: [{ name: 'a', resources: { requests: { 'example.com/gpu': '2' } } }],
  })
  t.equal(gpu.requests.others.get('example.com/gpu'), 2)
})

t.test('tolerations', async t => {
  const taint = { key: 'k', value: 'v', effect: 'NoSchedule' }
  t.ok(tolerates({ key: 'k', operator: 'Equal', value: 'v', effect: 'NoSchedule' }, taint))
  t.ok(tolerates({ key: 'k', value: 'v' }, taint))
  t.ok(tolerates({ key: 'k', operator: 'Exists' }, taint))
  t.ok(tolerates({ operator: 'Exists' }, taint))
  t.notOk(tolerates({ key: 'k', value: 'w' }, taint))
  t.notOk(tolerates({ key: 'j', operator: 'Exists' }, taint))
  t.notOk(tolerates({ key: 'k', operator: 'Exists', effect: 'NoExecute' }, taint))
  t.notOk(tolerates({ key: 'k', operator: 'Gt', value: '1' }, taint))
})

t.test('node selector terms', async t => {
  const labels = { zone: 'a', cores: '8' }
  const holds = (key: string, operator: string, ...values: string[]) =>
    meetsTerm({ matchExpressions: [{ key, operator, values }] }, 'n1', labels)
  t.ok(holds('zone', 'In', 'a', 'b'))
  t.notOk(holds('zone', 'In', 'b'))
  t.ok(holds('zone', 'NotIn', 'b'))
  t.ok(holds('missing', 'NotIn', 'b'))
  t.ok(holds('zone', 'Exists'))
  t.ok(holds('missing', 'DoesNotExist'))
  t.ok(holds('cores', 'Gt', '4'))
  t.notOk(holds('cores', 'Lt', '4'))
  t.notOk(holds('missing', 'Gt', '4'))
  t.notOk(holds('zone', 'Odd'))
  t.ok(meetsTerm({ matchFields: [{ key: 'metadata.name', operator: 'In', values: ['n1'] }] }, 'n1', labels))
  t.notOk(meetsTerm({}, 'n1', labels), 'an empty term selects nothing')
})

t.test('why a pod cannot go to a node', async t => {
  const affinity = (values: string[]) => ({
    affinity: {
      nodeAffinity: {
        requiredDuringSchedulingIgnoredDuringExecution: {
          nodeSelectorTerms: [{ matchExpressions: [{ key: 'zone', operator: 'In', values }] }],
        },
      },
    },
  })
  const hostPort = (port: number, hostIP?: string) => ({
    containers: [{ name: 'a', ports: [{ containerPort: 80, hostPort: port, protocol: 'TCP', hostIP }] }],
  })
  const taint = { key: 'k', value: 'v', effect: 'NoSchedule' }
  const full = state('full', { allocatable: { pods: '1' } })
  full.add(demand('there', requests('3')))
  const porter = state('porter')
  porter.add(demand('p', hostPort(80, '10.0.0.1')))
  const unready = state('unready')
  unready.facts = { ...nodeFacts(node('x') as unknown as Frozen<Node>), ready: false }
  const cases: [NodeState, object, string[]][] = [
    [state('n'), {}, []],
    [state('n'), requests('4'), []],
    [state('n'), requests('4001m'), ['Insufficient cpu']],
    [state('n'), requests('5', '9Gi'), ['Insufficient cpu', 'Insufficient memory']],
    [full, requests('2'), ['Too many pods', 'Insufficient cpu']],
    [
      state('n'),
      { containers: [{ name: 'a', resources: { requests: { 'x.io/gpu': '1' } } }] },
      ['Insufficient x.io/gpu'],
    ],
    [state('n', { spec: { unschedulable: true } }), {}, ['node(s) were unschedulable']],
    [
      state('n', { spec: { unschedulable: true } }),
      { tolerations: [{ key: 'node.kubernetes.io/unschedulable', operator: 'Exists' }] },
      [],
    ],
    [state('n', { spec: { taints: [taint] } }), {}, ['node(s) had untolerated taint {k: v}']],
    [state('n', { spec: { taints: [taint] } }), { tolerations: [{ operator: 'Exists' }] }, []],
    [state('n', { spec: { taints: [{ key: 'k', effect: 'PreferNoSchedule' }] } }), {}, []],
    [unready, {}, ['node(s) were not ready']],
    [state('n'), { nodeSelector: { zone: 'a' } }, ["node(s) didn't match Pod's node affinity/selector"]],
    [state('n', { labels: { zone: 'a' } }), { nodeSelector: { zone: 'a' } }, []],
    [
      state('n', { labels: { zone: 'a' } }),
      affinity(['b']),
      ["node(s) didn't match Pod's node affinity/selector"],
    ],
    [state('n', { labels: { zone: 'a' } }), affinity(['a']), []],
    [porter, hostPort(80), ["node(s) didn't have free ports for the requested pod ports"]],
    [porter, hostPort(80, '10.0.0.1'), ["node(s) didn't have free ports for the requested pod ports"]],
    [porter, hostPort(80, '10.0.0.2'), []],
    [porter, hostPort(81), []],
    [
      porter,
      { containers: [], initContainers: [{ ...hostPort(80).containers[0], restartPolicy: 'Always' }] },
      ["node(s) didn't have free ports for the requested pod ports"],
    ],
    [porter, { containers: [], initContainers: hostPort(80).containers }, []],
    [new NodeState('gone'), {}, ['node(s) were not found']],
  ]
  for (const [target, spec, reasons] of cases) {
    t.same(reasonsAgainst(demand('p', spec), target), reasons, JSON.stringify(spec))
  }
  t.equal(
    explainUnschedulable(
      new Map([
        ['Insufficient cpu', 1],
        ['node(s) had untolerated taint {k: v}', 2],
      ]),
      3,
    ),
    '0/3 nodes are available: 1 Insufficient cpu, 2 node(s) had untolerated taint {k: v}.',
  )
  t.equal(explainUnschedulable(new Map(), 0), 'no nodes available to schedule pods')
})

t.test('accounting: what comes goes', async t => {
  const target = state('n')
  const one = demand('one', requests('1', '1Gi'), { 'drover.io/spread-group': 'g' })
  target.add(one)
  target.add(one)
  t.same([target.podCount, target.requested.cpu, target.groupSize('default/g')], [1, 1000, 1])
  target.add(demand('one', requests('2'), {}))
  t.same([target.podCount, target.requested.cpu, target.groupSize('default/g')], [1, 2000, 0])
  t.ok(target.remove('default/one'))
  t.notOk(target.remove('default/one'))
  t.same([target.podCount, target.requested.cpu, target.requested.memory, target.assumedCpu], [0, 0, 0, 0])
})

t.test('the choice', async t => {
  const choose = (wanted: ReturnType<typeof demand>, nodes: NodeState[], random = () => 0.99) => {
    const choice = chooseNode(wanted, nodes, surroundings(wanted, nodes), random)
    return choice.type === 'node' ? choice.node.name : choice.message
  }
  const [a, b, c] = [state('a'), state('b'), state('c')]
  a.add(demand('x', requests('2')))
  t.equal(choose(demand('p', requests('1')), [a, b]), 'b', 'the emptier one')
  const group = { 'drover.io/spread-group': 'g' }
  b.add(demand('y', requests('0'), group))
  c.add(demand('z', requests('0'), group))
  t.equal(
    choose(demand('p', requests('0'), group), [b, a, c]),
    'a',
    'the one without others of its group, though it is fuller',
  )
  t.equal(choose(demand('p', requests('5')), [a, b]), '0/2 nodes are available: 2 Insufficient cpu.')
  const equals = ['1', '2', '3'].map(name => state(name))
  t.equal(
    choose(demand('p'), equals, () => 0),
    '3',
  )
  t.equal(
    choose(demand('p'), equals, () => 0.99),
    '1',
  )
})

t.test('neighbours', async t => {
  const zoned = (name: string, zone: string) => state(name, { labels: { zone } })
  const nodes = [zoned('a1', 'a'), zoned('a2', 'a'), zoned('b1', 'b'), state('none')]
  const fits = (wanted: ReturnType<typeof demand>) => {
    const around = surroundings(wanted, nodes)
    return nodes
      .filter(({ facts }) => around.neighbourhood.reasonAgainst(facts?.labels ?? {}) === undefined)
      .map(({ name }) => name)
  }
  const term = (app: string) => ({ topologyKey: 'zone', labelSelector: { matchLabels: { app } } })
  const near = (app: string) => ({
    affinity: { podAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [term(app)] } },
  })
  const far = (app: string) => ({
    affinity: { podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [term(app)] } },
  })
  nodes[0]?.add(demand('db', far('noisy'), { app: 'db' }))
  t.same(fits(demand('web', near('db'), { app: 'web' })), ['a1', 'a2'])
  t.same(fits(demand('web', far('db'), { app: 'web' })), ['b1', 'none'])
  t.same(
    fits(demand('noise', {}, { app: 'noisy' })),
    ['b1', 'none'],
    'the one that is there wants to be alone',
  )
  t.same(fits(demand('web', near('web'), { app: 'web' })), ['a1', 'a2', 'b1'], 'the first of its kind')
  t.same(fits(demand('web', near('cache'), { app: 'web' })), [], 'nobody to go to')

  const spread = (maxSkew: number, more: object = {}) => ({
    topologySpreadConstraints: [
      {
        maxSkew,
        topologyKey: 'zone',
        whenUnsatisfiable: 'DoNotSchedule',
        labelSelector: { matchLabels: { app: 's' } },
        ...more,
      },
    ],
  })
  nodes[1]?.add(demand('s1', {}, { app: 's' }))
  t.same(fits(demand('s2', spread(1), { app: 's' })), ['b1'])
  t.same(fits(demand('s2', spread(2), { app: 's' })), ['a1', 'a2', 'b1'])
  t.same(fits(demand('s2', spread(1, { minDomains: 3 }), { app: 's' })), ['b1'])
  t.same(fits(demand('s2', { ...spread(1), nodeSelector: { zone: 'a' } }, { app: 's' })), ['a1', 'a2', 'b1'])

  const choose = (spec: object, labels: object = {}) => {
    const wanted = demand('p', spec, labels)
    const choice = chooseNode(wanted, nodes, surroundings(wanted, nodes), () => 0.99)
    return choice.type === 'node' ? choice.node.name : choice.message
  }
  const soft = spread(1, { whenUnsatisfiable: 'ScheduleAnyway' })
  t.not(choose(soft, { app: 's' })[0], 'a', 'where fewer are, if that can be')
  const likes = (app: string, weight: number, kind: 'podAffinity' | 'podAntiAffinity') => ({
    affinity: {
      [kind]: { preferredDuringSchedulingIgnoredDuringExecution: [{ weight, podAffinityTerm: term(app) }] },
    },
  })
  t.equal(choose(likes('db', 10, 'podAffinity'))[0], 'a')
  t.not(choose(likes('db', 10, 'podAntiAffinity'))[0], 'a')
  const preference = { matchExpressions: [{ key: 'zone', operator: 'In', values: ['b'] }] }
  const nodeAffinity = { preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 1, preference }] }
  t.equal(choose({ affinity: { nodeAffinity } }), 'b1')
})

t.test('counts follow what comes and goes', async t => {
  const counts = new TopologyCounts(() => ({}))
  const wanted = demand(
    'w',
    {
      affinity: {
        podAffinity: {
          requiredDuringSchedulingIgnoredDuringExecution: [
            { topologyKey: 'zone', labelSelector: { matchLabels: { app: 'a' } } },
          ],
        },
      },
    },
    { app: 'w' },
  )
  const [term] = wanted.terms.near
  if (term === undefined) throw new Error('no term')
  const one = demand('one', {}, { app: 'a' })
  counts.add(one, { zone: 'x' })
  t.same([...counts.of(term).domains], [['x', 1]])
  counts.add(demand('two', {}, { app: 'a' }), { zone: 'x' })
  counts.add(demand('other', {}, { app: 'b' }), { zone: 'x' })
  t.same([...counts.of(term).domains], [['x', 2]])
  counts.relabel([one], { zone: 'y' })
  t.same(
    [...counts.of(term).domains],
    [
      ['x', 1],
      ['y', 1],
    ],
  )
  counts.remove('default/one')
  counts.remove('default/two')
  t.same([[...counts.of(term).domains], counts.of(term).total], [[], 0])
})

t.test('preemption', async t => {
  const [small, full] = [state('small', { allocatable: { cpu: '1' } }), state('full')]
  const important = (name: string, priority: number, cpu: string) =>
    demand(name, { ...requests(cpu), priority })
  full.add(important('low-1', 1, '1'))
  full.add(important('low-2', 2, '2'))
  full.add(important('high', 50, '1'))
  const victims = (wanted: ReturnType<typeof demand>) => {
    const chosen = choosePreemption(wanted, [small, full], surroundings(wanted, [small, full]), () => [])
    return chosen && [chosen.node.name, ...chosen.victims.map(({ name }) => name)]
  }
  t.same(victims(important('p', 10, '1')), ['full', 'low-1'], 'no more than has to go')
  t.same(victims(important('p', 10, '3')), ['full', 'low-1', 'low-2'])
  t.equal(victims(important('p', 10, '4')), undefined, 'what is more important stays')
  t.equal(victims(important('p', 1, '2')), undefined)
  t.equal(victims(demand('p', { ...requests('1'), priority: 10, preemptionPolicy: 'Never' })), undefined)
})

t.test('fewer go whose budgets do not allow it', async t => {
  const important = (name: string, priority: number, app: string) =>
    demand(name, { ...requests('2'), priority }, { app })
  const nodes = ['n1', 'n2'].map(name => state(name))
  const [first, second] = nodes as [NodeState, NodeState]
  first.add(important('db-1', 1, 'db'))
  first.add(important('web-1', 2, 'web'))
  second.add(important('db-2', 1, 'db'))
  second.add(important('db-3', 1, 'db'))
  const chosen = (cpu: string, allowed: number) => {
    const wanted = demand('p', { ...requests(cpu), priority: 10 })
    const budgetsOf = ({ labels }: Pick<typeof wanted, 'labels'>) =>
      labels.app === 'db' ? [{ key: 'default/db', allowed }] : []
    const found = choosePreemption(wanted, nodes, surroundings(wanted, nodes), budgetsOf)
    return found && [found.node.name, found.violations, ...found.victims.map(({ name }) => name)]
  }
  t.same(chosen('2', 0), ['n1', 0, 'web-1'], 'a more important one goes, whose budget allows it')
  t.same(chosen('4', 0), ['n1', 1, 'db-1', 'web-1'], 'where it is not to be helped, the fewest')
  t.same(chosen('2', 1), ['n1', 0, 'db-1'], 'one is allowed')
  t.same(chosen('4', 1), ['n1', 0, 'db-1', 'web-1'])
  t.same(chosen('4', 2), ['n2', 0, 'db-2', 'db-3'])
})

t.test('images that are there', async t => {
  const GIGABYTE = 1024 ** 3
  const images = new NodeImages()
  for (const name of ['n1', 'n2', 'n3', 'n4']) images.set(name, [])
  t.ok(
    images.set('n1', [
      { names: ['registry.example:5000/big:latest', 'big@sha256:1'], sizeBytes: 4 * GIGABYTE },
    ]),
  )
  t.notOk(
    images.set('n1', [
      { names: ['registry.example:5000/big:latest', 'big@sha256:1'], sizeBytes: 4 * GIGABYTE },
    ]),
  )
  images.set('n2', [{ names: ['tiny:1'], sizeBytes: 1024 }])
  const of = (image: string) => demand('p', { containers: [{ name: 'a', image }] }).images
  t.strictSame([...images.scores(of('registry.example:5000/big'))], [['n1', 100]])
  t.strictSame([...images.scores(of('tiny:1'))], [], 'not worth mentioning')
  t.strictSame([...images.scores(of('unknown:1'))], [])
  images.set('n3', [{ names: ['half:1'], sizeBytes: GIGABYTE }])
  const [[, alone = 0] = []] = images.scores(['half:1'])
  images.set('n4', [{ names: ['half:1'], sizeBytes: GIGABYTE }])
  const both = images.scores(['half:1'])
  t.ok((both.get('n3') ?? 0) > alone, 'more of them, more places to go: no crowd')
  images.set('n3', undefined)
  t.strictSame([...images.scores(['half:1']).keys()], ['n4'])

  const nodes = ['a', 'b', 'c'].map(name => state(name))
  const wanted = demand('p', { containers: [{ name: 'a', image: 'big:1' }] })
  const around = { ...surroundings(wanted, nodes), imageScores: new Map([['c', 60]]) }
  t.match(
    chooseNode(wanted, nodes, around, () => 0),
    { node: { name: 'c' } },
  )
  const grouped = demand('q', { containers: [{ name: 'a', image: 'big:1' }] }, {})
  nodes[2]?.add({ ...grouped, spreadGroup: 'g' })
  const other = { ...wanted, spreadGroup: 'g' }
  t.notMatch(
    chooseNode(other, nodes, around, () => 0),
    { node: { name: 'c' } },
    'its own kind is spread first',
  )
})
