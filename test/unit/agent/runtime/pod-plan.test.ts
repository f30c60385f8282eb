import t from 'tap'
import type { ContainerDetails } from '../../../../agent/docker/index.ts'
import { DOCKER_LABEL } from '../../../../agent/runtime/docker-labels.ts'
import { type PlanContext, planPod } from '../../../../agent/runtime/pod-plan.ts'
import { podStatus, type StatusContext } from '../../../../agent/runtime/pod-status.ts'
import { viewPod } from '../../../../agent/runtime/pod-view.ts'
import { CrashCounter, shouldRestart } from '../../../../agent/runtime/restart-policy.ts'
import type { Pod } from '../../../../protocol/kubernetes/index.ts'

const pod: Pod = {
  metadata: { name: 'p', namespace: 'default', uid: 'u' },
  spec: { containers: [{ name: 'a', image: 'i' }], restartPolicy: 'Always' },
}

function details(
  id: string,
  fields: Partial<ContainerDetails>,
  labels: Record<string, string>,
): ContainerDetails {
  return {
    id,
    name: id,
    image: 'i',
    imageId: 'sha256:1',
    createdAt: '2026-01-01T00:00:00Z',
    status: 'running',
    pid: 1,
    exitCode: 0,
    oomKilled: false,
    error: '',
    startedAt: '2026-01-01T00:00:01.5Z',
    finishedAt: undefined,
    restartCount: 0,
    hostname: 'p',
    command: [],
    tty: false,
    stdinOnce: false,
    networkMode: 'none',
    ip: undefined,
    macAddress: undefined,
    ports: [],
    resolvConfPath: '',
    labels,
    resources: { memory: 0, nanoCpus: 0, cpuShares: 2 },
    ...fields,
  }
}

function sandbox(id: string, attempt = 0, fields: Partial<ContainerDetails> = {}): ContainerDetails {
  return details(id, fields, { [DOCKER_LABEL.type]: 'podsandbox', [DOCKER_LABEL.attempt]: String(attempt) })
}

function run(
  id: string,
  attempt: number,
  inSandbox: string,
  fields: Partial<ContainerDetails> = {},
): ContainerDetails {
  return details(id, fields, {
    [DOCKER_LABEL.type]: 'container',
    [DOCKER_LABEL.container]: 'a',
    [DOCKER_LABEL.attempt]: String(attempt),
    [DOCKER_LABEL.sandbox]: inSandbox,
  })
}

const exited = { status: 'exited' as const, pid: 0, finishedAt: '2026-01-01T00:01:00Z' }
const context: PlanContext = {
  attached: () => true,
  restartIn: () => 0,
  replaceIn: () => 0,
  started: () => true,
  unwell: () => false,
  resize: () => 'none',
}
const plan = (all: readonly ContainerDetails[], with_: Partial<PlanContext> = {}, of: Pod = pod) =>
  planPod(of, viewPod(all), { ...context, ...with_ })

t.test('from nothing: a sandbox, then the containers', async t => {
  t.match(plan([]), { sandbox: { kind: 'make', attempt: 0 }, remove: [], kill: [] })
  t.strictSame(plan([sandbox('s')]).containers.get('a'), { kind: 'start', attempt: 0 })
  t.strictSame(plan([sandbox('s'), run('c', 0, 's')]).containers.get('a'), { kind: 'keep' })
  t.strictSame(
    plan([
      sandbox('s'),
      run('c', 0, 's', { status: 'created', pid: 0, startedAt: undefined }),
    ]).containers.get('a'),
    {
      kind: 'start-made',
      id: 'c',
    },
  )
})

t.test('a container that ended is started again, after its delay', async t => {
  const all = [sandbox('s'), run('c', 0, 's', exited)]
  t.strictSame(plan(all).containers.get('a'), { kind: 'start', attempt: 1 })
  t.strictSame(plan(all, { restartIn: () => 500 }).containers.get('a'), { kind: 'wait', milliseconds: 500 })
  const never = { ...pod, spec: { ...pod.spec, restartPolicy: 'Never' as const } }
  t.strictSame(plan(all, {}, never).containers.get('a'), { kind: 'done' })
})

t.test('only the last run that ended is kept', async t => {
  const all = [sandbox('s'), run('c0', 0, 's', exited), run('c1', 1, 's', exited), run('c2', 2, 's')]
  t.strictSame(plan(all).remove, ['c0'])
})

t.test('a sandbox that ended takes everything in it along', async t => {
  const dead = plan([sandbox('s', 0, exited), run('c', 0, 's')])
  t.match(dead, { sandbox: { kind: 'make', attempt: 1 }, remove: ['s'], kill: ['c'] })
  const after = plan([sandbox('s1', 1), run('c', 0, 's', exited)])
  t.strictSame(after.containers.get('a'), { kind: 'start', attempt: 1 })
  t.match(plan([sandbox('s'), run('c', 0, 's')], { attached: () => false }), {
    sandbox: { kind: 'make', attempt: 1 },
    remove: ['s'],
  })
})

t.test('a finished pod needs no new sandbox', async t => {
  const never = { ...pod, spec: { ...pod.spec, restartPolicy: 'Never' as const } }
  const finished = plan([sandbox('s', 0, exited), run('c', 0, 's', exited)], {}, never)
  t.match(finished, { sandbox: { kind: 'keep' }, remove: [] })
  t.strictSame(finished.containers.get('a'), { kind: 'done' })
})

t.test('containers that the pod does not have (any more) are removed', async t => {
  const stranger = details(
    'x',
    {},
    { [DOCKER_LABEL.type]: 'container', [DOCKER_LABEL.container]: 'old', [DOCKER_LABEL.sandbox]: 's' },
  )
  t.strictSame(plan([sandbox('s'), run('c', 0, 's'), stranger]).remove, ['x'])
})

const statusContext: StatusContext = {
  failure: undefined,
  resources: ({ resources = {} }) => resources,
  resize: undefined,
  hostIp: 'h',
  podIps: ['10.42.0.5', 'fd42::a2a:5'],
  initialized: true,
  started: () => true,
  ready: () => true,
  message: () => undefined,
  waiting: new Map(),
  startTime: 's',
  now: 'n',
}

t.test('status: phases, restarts and reasons', async t => {
  const status = (
    all: readonly ContainerDetails[],
    waiting: ReadonlyMap<string, { reason: string }> = new Map(),
    of = pod,
  ) => podStatus(of, viewPod(all), { ...statusContext, waiting })
  t.match(status([sandbox('s')]), {
    phase: 'Pending',
    containerStatuses: [
      { ready: false, restartCount: 0, state: { waiting: { reason: 'ContainerCreating' } } },
    ],
  })
  const running = status([sandbox('s'), run('c0', 0, 's', { ...exited, exitCode: 137 }), run('c1', 1, 's')])
  t.match(running, {
    phase: 'Running',
    podIP: '10.42.0.5',
    podIPs: [{ ip: '10.42.0.5' }, { ip: 'fd42::a2a:5' }],
    containerStatuses: [
      {
        ready: true,
        restartCount: 1,
        containerID: 'docker://c1',
        state: { running: { startedAt: '2026-01-01T00:00:01Z' } },
        lastState: { terminated: { exitCode: 137, reason: 'Error', containerID: 'docker://c0' } },
      },
    ],
  })
  t.ok(running.conditions?.every(({ status }) => status === 'True'))
  const looping = status(
    [sandbox('s'), run('c', 0, 's', exited)],
    new Map([['a', { reason: 'CrashLoopBackOff' }]]),
  )
  t.match(looping, {
    phase: 'Running',
    containerStatuses: [
      { state: { waiting: { reason: 'CrashLoopBackOff' } }, lastState: { terminated: {} } },
    ],
  })
  const never = { ...pod, spec: { ...pod.spec, restartPolicy: 'Never' as const } }
  t.equal(status([sandbox('s'), run('c', 0, 's', exited)], undefined, never).phase, 'Succeeded')
  t.equal(
    status([sandbox('s'), run('c', 0, 's', { ...exited, exitCode: 1 })], undefined, never).phase,
    'Failed',
  )
  t.equal(status([], new Map([['a', { reason: 'ErrImagePull' }]])).phase, 'Pending')
})

t.test('conditions keep the time of their last transition', async t => {
  const before: Pod = {
    ...pod,
    status: {
      conditions: [
        { type: 'Ready', status: 'True', lastTransitionTime: 'then' },
        { type: 'Initialized', status: 'False', lastTransitionTime: 'then' },
      ],
    },
  }
  const { conditions = [] } = podStatus(before, viewPod([sandbox('s'), run('c', 0, 's')]), {
    ...statusContext,
    now: 'now',
  })
  const time = (type: string) => conditions.find(condition => condition.type === type)?.lastTransitionTime
  t.equal(time('Ready'), 'then')
  t.equal(time('Initialized'), 'now')
})

t.test('conditions name the containers that they wait for', async t => {
  const of: Pod = {
    ...pod,
    spec: { ...pod.spec, initContainers: [{ ...pod.spec.containers[0], name: 'first' } as never] },
  }
  const message = (all: readonly ContainerDetails[], which: Pod, type: string) =>
    podStatus(which, viewPod([sandbox('s'), ...all]), {
      ...statusContext,
      initialized: false,
    }).conditions?.find(condition => condition.type === type)?.message
  const name = pod.spec.containers[0]?.name ?? ''
  t.equal(message([], of, 'Initialized'), 'containers with incomplete status: [first]')
  t.equal(message([], of, 'Ready'), `containers with unready status: [${name}]`)
  const over: Pod = { ...of, spec: { ...of.spec, restartPolicy: 'Never' } }
  t.equal(message([run(name, 0, 's', exited)], over, 'Ready'), undefined, 'what has ended is not waited for')
})

t.test('restart policies and delays', async t => {
  t.ok(shouldRestart('Always', 0))
  t.ok(shouldRestart('OnFailure', 1))
  t.notOk(shouldRestart('OnFailure', 0))
  t.notOk(shouldRestart('Never', 1))
  const crashes = new CrashCounter()
  const delays: number[] = []
  for (let id = 0; id < 12; id += 1) {
    crashes.ended('k', `run${id}`, 100)
    crashes.ended('k', `run${id}`, 100)
    delays.push(crashes.delay('k'))
  }
  t.strictSame(delays.slice(0, 5), [0, 1000, 2000, 4000, 8000], 'the first time at once, then ever later')
  t.equal(delays.at(-1), 300_000)
  crashes.ended('k', 'long', 10_000)
  t.equal(crashes.delay('k'), 0, 'a run that lasted starts the count anew')
})

t.test('the end of a sandbox is waited out', async t => {
  const ended = [sandbox('s1', 0, { status: 'exited', pid: 0 }), run('c1', 0, 's1')]
  t.match(plan(ended, { replaceIn: () => 700 }), {
    kill: ['c1'],
    remove: [],
    sandbox: { kind: 'wait', milliseconds: 700 },
  })
  t.match(plan(ended, {}), { remove: ['s1'], sandbox: { kind: 'make', attempt: 1 } })
})

t.test('init containers, one after the other', async t => {
  const inits = ['first', 'side', 'second'].map(name => ({
    name,
    image: 'i',
    ...(name === 'side' ? { restartPolicy: 'Always' as const } : {}),
  }))
  const of: Pod = { ...pod, spec: { ...pod.spec, initContainers: inits } }
  const named = (name: string, fields: Partial<ContainerDetails> = {}, inSandbox = 's', attempt = 0) => {
    const made = run(`${name}-${attempt}`, attempt, inSandbox, fields)
    return { ...made, labels: { ...made.labels, [DOCKER_LABEL.container]: name } }
  }
  const kinds = (all: readonly ContainerDetails[], with_: Partial<PlanContext> = {}, which = of) =>
    Object.fromEntries(
      [...plan([sandbox('s'), ...all], with_, which).containers].map(([name, { kind }]) => [name, kind]),
    )
  const done = named('first', exited)
  t.strictSame(kinds([]), { first: 'start', side: 'hold', second: 'hold', a: 'hold' })
  t.strictSame(kinds([named('first')]), { first: 'keep', side: 'hold', second: 'hold', a: 'hold' })
  t.strictSame(kinds([done]), { first: 'done', side: 'start', second: 'hold', a: 'hold' })
  t.strictSame(kinds([done, named('side')], { started: () => false }).second, 'hold')
  t.strictSame(kinds([done, named('side')]), { first: 'done', side: 'keep', second: 'start', a: 'hold' })
  t.strictSame(kinds([done, named('side'), named('second', exited)]).a, 'start')
  const failed = named('first', { ...exited, exitCode: 1 })
  t.strictSame(kinds([failed]), { first: 'start', side: 'hold', second: 'hold', a: 'hold' }, 'tried again')
  const never: Pod = { ...of, spec: { ...of.spec, restartPolicy: 'Never' } }
  t.strictSame(kinds([failed], {}, never), { first: 'done', side: 'done', second: 'hold', a: 'hold' })
  const working = [done, named('side', exited), named('second', exited), run('c', 0, 's')]
  t.strictSame(kinds(working), { first: 'done', side: 'start', second: 'done', a: 'keep' }, 'sidecars go on')
  t.equal(kinds([run('c', 0, 's'), named('side')]).first, 'done', 'what did its work long ago may be gone')
  t.equal(kinds([named('first', exited, 'old')]).first, 'start', 'in a new sandbox all over')
  const over = [done, named('side'), named('second', exited), run('c', 0, 's', exited)]
  t.equal(kinds(over, {}, never).side, 'stop')
  t.strictSame(kinds([run('c', 0, 's')], { unwell: () => true }, pod), { a: 'stop' })
  const status = (all: readonly ContainerDetails[], which = of, initialized = false) =>
    podStatus(which, viewPod([sandbox('s'), ...all]), { ...statusContext, initialized })
  t.match(status([done]), {
    phase: 'Pending',
    initContainerStatuses: [{ ready: true }, { ready: false }, { ready: false }],
    containerStatuses: [{ state: { waiting: { reason: 'PodInitializing' } } }],
  })
  t.equal(status([failed], never).phase, 'Failed')
})

t.test('ephemeral containers are started once, beside whatever the pod does', async t => {
  const debugged: Pod = {
    ...pod,
    spec: {
      ...pod.spec,
      restartPolicy: 'Never',
      initContainers: [{ name: 'init', image: 'i' }],
      ephemeralContainers: [
        { name: 'look', image: 'i' },
        { name: 'near', image: 'i', targetContainerName: 'a' },
      ],
    },
  }
  const named = (id: string, name: string, fields: Partial<ContainerDetails> = {}, inSandbox = 's') => {
    const made = run(id, 0, inSandbox, fields)
    return { ...made, labels: { ...made.labels, [DOCKER_LABEL.container]: name } }
  }
  const decide = (...all: ContainerDetails[]) => plan([sandbox('s'), ...all], {}, debugged).containers
  t.strictSame(decide().get('look'), { kind: 'start', attempt: 0 }, 'before init containers are done')
  t.match(decide().get('near'), { kind: 'blocked', message: /container a/ })
  const done = named('i', 'init', exited)
  t.strictSame(decide(done, run('c', 0, 's')).get('near'), {
    kind: 'start',
    attempt: 0,
    processesOf: 'c',
  })
  t.strictSame(decide(named('l', 'look', { ...exited, exitCode: 1 })).get('look'), { kind: 'done' })
  const elsewhere = decide(named('l', 'look', exited, 'gone')).get('look')
  t.strictSame(elsewhere, { kind: 'done' }, 'not in another sandbox either')
  const over = [done, run('c', 0, 's', exited)]
  t.match(decide(...over, named('l', 'look')).get('look'), { kind: 'stop' }, 'it ends with the pod')
  t.strictSame(decide(...over).get('near'), { kind: 'done' })
  const view = viewPod([sandbox('s'), ...over, named('l', 'look', { ...exited, exitCode: 1 })])
  const status = podStatus(debugged, view, statusContext)
  t.equal(status.phase, 'Succeeded')
  t.match(status.ephemeralContainerStatuses, [
    { name: 'look', ready: false, state: { terminated: { exitCode: 1 } } },
    { name: 'near', state: { waiting: {} } },
  ])
})
