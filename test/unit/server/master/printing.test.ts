/** Durations and table cells. */
import t from 'tap'
import {
  eventPrinter,
  humanDuration,
  nodePrinter,
  podPrinter,
  servicePrinter,
} from '../../../../server/master/apiserver/printing/index.ts'

const SECOND = 1000
const MINUTE = 60 * SECOND
const HOUR = 60 * MINUTE
const DAY = 24 * HOUR

t.test('durations', async t => {
  const cases: [number, string][] = [
    [-5 * SECOND, '<invalid>'],
    [-1 * SECOND, '0s'],
    [0, '0s'],
    [119 * SECOND, '119s'],
    [2 * MINUTE, '2m'],
    [2 * MINUTE + SECOND, '2m1s'],
    [10 * MINUTE + 30 * SECOND, '10m'],
    [179 * MINUTE, '179m'],
    [3 * HOUR, '3h'],
    [3 * HOUR + 5 * MINUTE, '3h5m'],
    [8 * HOUR + 5 * MINUTE, '8h'],
    [47 * HOUR, '47h'],
    [2 * DAY + 3 * HOUR, '2d3h'],
    [7 * DAY, '7d'],
    [8 * DAY + HOUR, '8d'],
    [729 * DAY, '729d'],
    [730 * DAY, '2y'],
    [731 * DAY, '2y1d'],
    [9 * 365 * DAY, '9y'],
  ]
  for (const [milliseconds, text] of cases) t.equal(humanDuration(milliseconds), text)
})

const now = Date.parse('2026-01-01T01:00:00Z')
const metadata = { name: 'p', creationTimestamp: '2026-01-01T00:55:00Z' }

function pod(status: object, spec: object = {}, more: object = {}) {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { ...metadata, ...more },
    spec: { restartPolicy: 'Always', containers: [{ name: 'a' }, { name: 'b' }], ...spec },
    status,
  }
}

const container = (name: string, state: object, more: object = {}) => ({
  name,
  ready: 'running' in state,
  restartCount: 0,
  state,
  ...more,
})
const running = { running: {} }

t.test('what the STATUS column says of a pod', async t => {
  const cases: [object, string[]][] = [
    [pod({ phase: 'Pending' }), ['0/2', 'Pending', '0']],
    [
      pod({ phase: 'Running', containerStatuses: [container('a', running), container('b', running)] }),
      ['2/2', 'Running', '0'],
    ],
    [
      pod({
        phase: 'Pending',
        containerStatuses: [container('a', { waiting: { reason: 'ContainerCreating' } })],
      }),
      ['0/2', 'ContainerCreating', '0'],
    ],
    [
      pod({
        phase: 'Running',
        containerStatuses: [
          container(
            'a',
            { waiting: { reason: 'CrashLoopBackOff' } },
            {
              restartCount: 4,
              lastState: { terminated: { finishedAt: '2026-01-01T00:59:00Z' } },
            },
          ),
          container('b', running),
        ],
      }),
      ['1/2', 'CrashLoopBackOff', '4 (60s ago)'],
    ],
    [
      pod({ phase: 'Failed', containerStatuses: [container('a', { terminated: { exitCode: 3 } })] }),
      ['0/2', 'ExitCode:3', '0'],
    ],
    [
      pod({
        phase: 'Failed',
        containerStatuses: [container('a', { terminated: { exitCode: 137, signal: 9 } })],
      }),
      ['0/2', 'Signal:9', '0'],
    ],
    [
      pod({
        phase: 'Running',
        conditions: [{ type: 'Ready', status: 'True' }],
        containerStatuses: [container('a', { terminated: { reason: 'Completed' } }), container('b', running)],
      }),
      ['1/2', 'Running', '0'],
    ],
    [
      pod({
        phase: 'Running',
        containerStatuses: [container('a', { terminated: { reason: 'Completed' } }), container('b', running)],
      }),
      ['1/2', 'NotReady', '0'],
    ],
    [pod({ phase: 'Failed', reason: 'Evicted' }), ['0/2', 'Evicted', '0']],
    [pod({ phase: 'Running' }, {}, { deletionTimestamp: 'x' }), ['0/2', 'Terminating', '0']],
    [pod({ phase: 'Succeeded' }, {}, { deletionTimestamp: 'x' }), ['0/2', 'Succeeded', '0']],
    [pod({ phase: 'Running', reason: 'NodeLost' }, {}, { deletionTimestamp: 'x' }), ['0/2', 'Unknown', '0']],
    [
      pod({
        phase: 'Pending',
        conditions: [{ type: 'PodScheduled', status: 'False', reason: 'SchedulingGated' }],
      }),
      ['0/2', 'SchedulingGated', '0'],
    ],
    [
      pod(
        { phase: 'Pending', initContainerStatuses: [container('i', running, { ready: false })] },
        { initContainers: [{ name: 'i' }, { name: 'j' }] },
      ),
      ['0/2', 'Init:0/2', '0'],
    ],
    [
      pod(
        {
          phase: 'Pending',
          initContainerStatuses: [container('i', { terminated: { exitCode: 2 } }, { restartCount: 3 })],
        },
        { initContainers: [{ name: 'i' }] },
      ),
      ['0/2', 'Init:ExitCode:2', '3'],
    ],
    [
      pod(
        {
          phase: 'Running',
          initContainerStatuses: [container('i', running, { started: true })],
          containerStatuses: [container('a', running), container('b', running)],
        },
        { initContainers: [{ name: 'i', restartPolicy: 'Always' }] },
      ),
      ['3/3', 'Running', '0'],
    ],
  ]
  for (const [object, expected] of cases) {
    const cells = podPrinter.cells(object as Parameters<typeof podPrinter.cells>[0], now)
    t.same(cells.slice(1, 4), expected, JSON.stringify(object).slice(100, 220))
    t.equal(cells.length, podPrinter.columns.length)
    t.equal(cells[4], '5m')
  }
})

t.test('nodes, services, events', async t => {
  const node = {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { ...metadata, labels: { 'node-role.kubernetes.io/worker': '', 'kubernetes.io/role': 'edge' } },
    spec: { unschedulable: true },
    status: {
      conditions: [{ type: 'Ready', status: 'Unknown' as const }],
      addresses: [{ type: 'InternalIP', address: '192.0.2.7' }],
      nodeInfo: { kubeletVersion: 'v1.36.0' },
    },
  }
  t.same(nodePrinter.cells(node, now), [
    'p',
    'NotReady,SchedulingDisabled',
    'edge,worker',
    '5m',
    'v1.36.0',
    '192.0.2.7',
    '<none>',
    '<unknown>',
    '<unknown>',
    '<unknown>',
  ])
  const service = {
    apiVersion: 'v1',
    kind: 'Service',
    metadata,
    spec: {
      type: 'LoadBalancer',
      clusterIP: '10.43.0.9',
      sessionAffinity: 'None',
      ports: [
        { port: 80, protocol: 'TCP', nodePort: 30080 },
        { port: 53, protocol: 'UDP' },
      ],
      selector: { b: '2', a: '1' },
    },
    status: {},
  }
  t.same(servicePrinter.cells(service, now), [
    'p',
    'LoadBalancer',
    '10.43.0.9',
    '<pending>',
    '80:30080/TCP,53/UDP',
    '5m',
    'a=1,b=2',
  ])
  const event = {
    apiVersion: 'v1',
    kind: 'Event',
    metadata,
    involvedObject: { kind: 'Pod', name: 'web' },
    type: 'Warning',
    reason: 'Failed',
    message: ' went wrong\n',
    source: { component: 'kubelet', host: 'n1' },
    firstTimestamp: '2026-01-01T00:58:00Z',
    lastTimestamp: '2026-01-01T00:59:30Z',
    count: 3,
  }
  t.same(eventPrinter.cells(event, now), [
    '30s',
    'Warning',
    'Failed',
    'pod/web',
    '',
    'kubelet, n1',
    'went wrong',
    '2m',
    3,
    'p',
  ])
})
