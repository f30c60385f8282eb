/** When a host has too little, and which pod goes first. */
import t from 'tap'
import { evictionMessage, formatBytes } from '../../../../agent/pressure/messages.ts'
import { isCritical, type PodUsage, rankPods } from '../../../../agent/pressure/ranking.ts'
import { pressureSettings, type Signal } from '../../../../agent/pressure/settings.ts'
import { type Observation, PressureMemory, scarceSignals } from '../../../../agent/pressure/signals.ts'
import type { Pod } from '../../../../protocol/kubernetes/index.ts'

const MB = 2 ** 20

t.test('settings are completed, and refused where they make no sense', async t => {
  const defaults = pressureSettings({}, 'f')
  t.strictSame([...defaults.thresholds.keys()].toSorted(), [
    'imagefs.available',
    'imagefs.inodesFree',
    'memory.available',
    'nodefs.available',
    'nodefs.inodesFree',
  ])
  t.match(defaults, { transitionPeriod: 300_000, imagesHigh: 0.85, imagesLow: 0.8, imageAge: 120_000 })
  const changed = pressureSettings(
    {
      evictionHard: { 'memory.available': '1Gi', 'nodefs.available': '0%', 'pid.available': '5%' },
      evictionMinimumReclaim: { 'memory.available': '64Mi' },
      evictionPressureTransitionPeriod: '1m30s',
      imageMinimumGCAge: '500ms',
    },
    'f',
  )
  t.equal(changed.thresholds.get('memory.available')?.value, 1024 * MB)
  t.notOk(changed.thresholds.has('nodefs.available'), 'turned off')
  t.match(changed.thresholds.get('pid.available'), { kind: 'part', value: 0.05 })
  t.ok(changed.thresholds.has('imagefs.available'), 'the others stay')
  t.match(changed, { transitionPeriod: 90_000, imageAge: 500 })
  for (const given of [
    { evictionHard: { 'memory.free': '1Gi' } },
    { evictionHard: { 'memory.available': 'much' } },
    { evictionHard: { 'memory.available': '120%' } },
    { evictionHard: { 'memory.available': '-1' } },
    { evictionPressureTransitionPeriod: '5' },
    { imageGCHighThresholdPercent: 50, imageGCLowThresholdPercent: 60 },
    { imageGCHighThresholdPercent: 101 },
    { evictionSoft: {} },
    [],
  ]) {
    t.throws(() => pressureSettings(given, 'f'), { code: 'InvalidSettings' }, JSON.stringify(given))
  }
})

t.test('what is scarce stays so until there is more than just enough', async t => {
  const settings = pressureSettings(
    {
      evictionHard: { 'memory.available': '100Mi', 'nodefs.available': '10%' },
      evictionMinimumReclaim: { 'memory.available': '50Mi', 'nodefs.available': '5%' },
    },
    'f',
  )
  const of = (memory: number, disk: number, ...before: Signal[]) =>
    scarceSignals(
      settings,
      new Map<Signal, Observation>([
        ['nodefs.available', { available: disk * MB, capacity: 1000 * MB }],
        ['memory.available', { available: memory * MB, capacity: 1000 * MB }],
      ]),
      new Set(before),
    )
  t.strictSame(of(100, 100), [])
  t.strictSame(of(99, 100), ['memory.available'])
  t.strictSame(
    of(120, 99, 'memory.available'),
    ['memory.available', 'nodefs.available'],
    'memory comes first',
  )
  t.strictSame(of(150, 149, 'memory.available', 'nodefs.available'), ['nodefs.available'])
  t.strictSame(scarceSignals(settings, new Map(), new Set(['memory.available'])), [], 'nothing is guessed')
})

t.test('the node says what it lacked for a while longer', async t => {
  const memory = new PressureMemory(1_000)
  memory.note(['memory.available', 'imagefs.inodesFree'], 0)
  t.strictSame([...memory.conditions()].toSorted(), ['DiskPressure', 'MemoryPressure'])
  memory.note(['memory.available'], 900)
  t.equal(memory.conditions().size, 2)
  memory.note([], 1_000)
  t.strictSame([...memory.conditions()], ['MemoryPressure'])
  memory.note([], 1_900)
  t.equal(memory.conditions().size, 0)
})

const pod = (name: string, fields: { memory?: string; priority?: number; file?: boolean } = {}): Pod => ({
  metadata: {
    ...{ name, namespace: 'default', uid: name },
    ...(fields.file === true ? { annotations: { 'kubernetes.io/config.source': 'file' } } : {}),
  },
  spec: {
    ...(fields.priority === undefined ? {} : { priority: fields.priority }),
    containers: [
      {
        ...{ name: 'main', image: 'i' },
        ...(fields.memory === undefined ? {} : { resources: { requests: { memory: fields.memory } } }),
      },
    ],
  },
})

const usage = (memory: number, disk = 0, processes = 1): PodUsage => ({
  ...{ memory: memory * MB, disk: disk * MB, processes },
  containers: new Map([['main', { memory: memory * MB, disk: disk * MB }]]),
})

t.test('which pod goes first', async t => {
  const names = (
    resource: 'memory' | 'ephemeral-storage' | 'pids',
    ...candidates: [Pod, PodUsage | undefined][]
  ) =>
    rankPods(
      candidates.map(([each, used]) => ({ pod: each, usage: used })),
      resource,
    ).map(({ pod: { metadata } }) => metadata.name)
  t.strictSame(
    names(
      'memory',
      [pod('within', { memory: '500Mi' }), usage(400)],
      [pod('little'), usage(10)],
      [pod('much'), usage(200)],
      [pod('precious', { priority: 10 }), usage(900)],
      [pod('beyond', { memory: '100Mi' }), usage(350)],
      [pod('system', { priority: 2_000_000_000 }), usage(900)],
      [pod('file', { file: true }), usage(900)],
    ),
    ['beyond', 'much', 'little', 'precious', 'within'],
  )
  t.strictSame(names('ephemeral-storage', [pod('a'), usage(9, 1)], [pod('b'), usage(1, 9)]), ['b', 'a'])
  t.strictSame(names('pids', [pod('a'), usage(1, 1, 5)], [pod('b'), usage(1, 1, 50)]), ['b', 'a'])
  t.strictSame(names('memory', [pod('a'), usage(9)], [pod('unknown'), undefined]), ['unknown', 'a'])
  t.ok(isCritical(pod('x', { priority: 2_000_001_000 })))
})

t.test('what is said', async t => {
  t.strictSame([5, 20_480, 100 * MB, 12 * 2 ** 30].map(formatBytes), ['5', '20Ki', '100Mi', '12Gi'])
  t.equal(
    evictionMessage({ pod: pod('p', { memory: '64Mi' }), usage: usage(200) }, 'memory', '100Mi', 50 * MB),
    'The node was low on resource: memory. Threshold quantity: 100Mi, available: 50Mi. Container main was using 200Mi, request is 64Mi, has larger consumption of memory. ',
  )
  t.equal(
    evictionMessage({ pod: pod('p'), usage: undefined }, 'pids', '100', 50),
    'The node was low on resource: pids. Threshold quantity: 100, available: 50. ',
  )
})
