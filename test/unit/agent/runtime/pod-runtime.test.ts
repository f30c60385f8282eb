/** How a pod is kept running although Docker refuses something. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import t from 'tap'
import type { ContainerDetails } from '../../../../agent/docker/index.ts'
import { DOCKER_LABEL } from '../../../../agent/runtime/docker-labels.ts'
import type { PodFailure } from '../../../../agent/runtime/pod-failures.ts'
import { PodRuntime, type PodRuntimeOptions } from '../../../../agent/runtime/pod-runtime.ts'
import { createLogger } from '../../../../kit/index.ts'
import type { Pod, PodStatus } from '../../../../protocol/kubernetes/index.ts'

const DIRECTORY = mkdtempSync(path.join(tmpdir(), 'pod-runtime-'))
t.teardown(() => rmSync(DIRECTORY, { recursive: true }))

const pod: Pod = {
  metadata: { name: 'p', namespace: 'default', uid: 'u' },
  spec: { containers: [{ name: 'a', image: 'i' }], restartPolicy: 'Always' },
}

function container(id: string, type: 'podsandbox' | 'container', fields: object): ContainerDetails {
  const labels = {
    [DOCKER_LABEL.type]: type,
    [DOCKER_LABEL.podUid]: 'u',
    [DOCKER_LABEL.owner]: 'host',
    [DOCKER_LABEL.container]: 'a',
    [DOCKER_LABEL.attempt]: '0',
    [DOCKER_LABEL.sandbox]: 's1',
  }
  // Of what Docker tells, these alone matter here.
  const details = {
    id,
    name: id,
    status: 'running',
    pid: 1,
    exitCode: 0,
    error: '',
    ports: [],
    resources: { memory: 0, nanoCpus: 0, cpuShares: 2 },
    labels,
    ...fields,
  }
  return details as unknown as ContainerDetails
}

/** A Docker of which only containers are known, and a runtime upon it. */
function makeWorld(overrides: {
  remove?: () => Promise<void>
  makeSandbox?: () => Promise<void>
  refuse?: PodRuntimeOptions['refuse']
  pod?: Pod
}) {
  const failures = new Map<string, PodFailure>()
  const discarded: string[] = []
  const happenings: string[] = []
  const containers = new Map<string, ContainerDetails>()
  let changed: (container: ContainerDetails | undefined, previous: ContainerDetails | undefined) => void
  const put = (id: string, details: ContainerDetails | undefined) => {
    const previous = containers.get(id)
    if (details === undefined) containers.delete(id)
    else containers.set(id, details)
    changed?.(details, previous)
  }
  const statuses: PodStatus[] = []
  const parts = {
    engine: {
      kill: async () => {},
      remove: overrides.remove ?? (async (id: string) => put(id, undefined)),
      create: async () => 'c2',
      start: async (id: string) => put(id, container(id, 'container', { labels: labelsOf('s2', '1') })),
    },
    inventory: {
      onChange: (listener: typeof changed) => {
        changed = listener
      },
      all: () => [...containers.values()],
      get: (id: string) => containers.get(id),
      refresh: async (id: string) => containers.get(id),
    },
    sandboxes: {
      attached: () => true,
      address: () => '10.42.0.5',
      addresses: () => ['10.42.0.5'],
      macAddress: () => undefined,
      remove: overrides.remove ?? (async (id: string) => put(id, undefined)),
      make:
        overrides.makeSandbox ??
        (async () =>
          put(
            's2',
            container('s2', 'podsandbox', {
              labels: { ...labelsOf('', '1'), [DOCKER_LABEL.type]: 'podsandbox' },
            }),
          )),
    },
    maker: {
      make: async () => ({ kind: 'made', dockerId: 'c2' }),
      forget: async () => {},
      follow: () => {},
      unfollow: () => {},
      discardVolumes: async (uid: string) => discarded.push(uid),
    },
    messages: { read: async () => {}, get: () => undefined },
    ender: {
      end: async ({ details }: { details: ContainerDetails }) => {
        put(details.id, { ...details, status: 'exited', pid: 0 } as ContainerDetails)
        return 100
      },
      forget: () => {},
      isEnding: () => false,
    },
    store: {
      get: () => overrides.pod ?? pod,
      uids: () => ['u'],
      remains: () => [],
      directoryOf: () => DIRECTORY,
    },
    events: {
      onStatus: (_: Pod, status: PodStatus) => statuses.push(status),
      onEnded: () => {},
      onProblemsChanged: () => {},
      onHappening: (_: Pod, { reason }: { reason: string }) => happenings.push(reason),
    },
  }
  const options = {
    ...parts,
    log: createLogger('test', 'silent'),
    owner: 'host',
    failures: {
      get: (uid: string) => failures.get(uid),
      set: async (uid: string, failure: PodFailure) => void failures.set(uid, failure),
      forget: () => {},
    },
    refuse: overrides.refuse ?? (() => undefined),
    hostIp: '192.0.2.1',
    place: () => ({}),
  }
  const runtime = new PodRuntime(options as unknown as PodRuntimeOptions)
  return { runtime, containers, put, statuses, discarded, happenings }
}

function labelsOf(sandbox: string, attempt: string) {
  return {
    [DOCKER_LABEL.type]: 'container',
    [DOCKER_LABEL.podUid]: 'u',
    [DOCKER_LABEL.owner]: 'host',
    [DOCKER_LABEL.container]: 'a',
    [DOCKER_LABEL.attempt]: attempt,
    [DOCKER_LABEL.sandbox]: sandbox,
  }
}

t.test("what Docker cannot remove is in nobody's way", async t => {
  const world = makeWorld({ remove: async () => Promise.reject(new Error('device or resource busy')) })
  world.containers.set('s1', container('s1', 'podsandbox', { status: 'exited', pid: 0 }))
  await world.runtime.start()
  const isRunning = () =>
    JSON.stringify(world.statuses.at(-1)?.containerStatuses?.[0]?.state).includes('running')
  while (world.statuses.length === 0 || !isRunning()) await new Promise(resolve => setImmediate(resolve))
  await world.runtime.stop()
  t.strictSame([...world.containers.keys()].toSorted(), ['c2', 's1', 's2'])
})

t.test('a pod that fails does not wake itself', async t => {
  let tries = 0
  const world = makeWorld({
    makeSandbox: async () => {
      tries += 1
      const id = `failed${tries}`
      world.put(id, container(id, 'podsandbox', { status: 'created', pid: 0 }))
      world.put(id, undefined)
      throw new Error('Docker is about to end')
    },
  })
  await world.runtime.start()
  while (tries === 0) await new Promise(resolve => setImmediate(resolve))
  for (let turn = 0; turn < 100; turn += 1) await new Promise(resolve => setImmediate(resolve))
  await world.runtime.stop()
  // Its own containers came and went while it was looked at for the first time; that is one more look.
  t.ok(tries <= 2, `${tries} tries`)
})

async function turns(check: () => boolean): Promise<void> {
  for (let turn = 0; turn < 10_000 && !check(); turn += 1) await new Promise(resolve => setImmediate(resolve))
}

t.test('a pod that cannot be taken fails, and nothing of it is made', async t => {
  const failure = { reason: 'Evicted', message: 'The node had condition: [MemoryPressure]. ' }
  const world = makeWorld({ refuse: () => failure })
  await world.runtime.start()
  await turns(() => world.statuses.length > 0)
  await world.runtime.stop()
  t.match(world.statuses.at(-1), { phase: 'Failed', ...failure })
  t.equal(world.containers.size, 0)
  t.strictSame(world.happenings, ['Evicted'])
})

t.test('a pod that is given up ends, and its containers stay for their logs', async t => {
  const world = makeWorld({})
  await world.runtime.start()
  await turns(() => world.runtime.isActive('u') && world.containers.size === 2)
  await world.runtime.fail('u', { reason: 'Evicted', message: 'm' }, 1)
  await turns(() => world.discarded.length > 0)
  t.notOk(world.runtime.isActive('u'))
  t.strictSame([...world.containers.keys()], ['c2'])
  await turns(() => world.statuses.at(-1)?.containerStatuses?.[0]?.state !== undefined)
  t.match(world.statuses.at(-1), { phase: 'Failed', reason: 'Evicted', message: 'm' })
  world.runtime.podChanged('u')
  await turns(() => world.discarded.length > 1)
  await world.runtime.stop()
  t.strictSame([...world.containers.keys()], ['c2'], 'it is not started again')
})

t.test('a pod that has ended is not run again when its containers are gone', async t => {
  const world = makeWorld({ pod: { ...pod, status: { phase: 'Succeeded' } } })
  await world.runtime.start()
  for (let turn = 0; turn < 100; turn += 1) await new Promise(resolve => setImmediate(resolve))
  await world.runtime.stop()
  t.equal(world.containers.size, 0)
  t.equal(world.statuses.length, 0, 'what is known of it stays')
})
