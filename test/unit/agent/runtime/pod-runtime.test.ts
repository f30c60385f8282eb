/** How a pod is kept running although Docker refuses something. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import t from 'tap'
import type { ContainerDetails } from '../../../../agent/docker/index.ts'
import { DOCKER_LABEL } from '../../../../agent/runtime/docker-labels.ts'
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
    labels,
    ...fields,
  }
  return details as unknown as ContainerDetails
}

/** A Docker of which only containers are known, and a runtime upon it. */
function makeWorld(overrides: { remove?: () => Promise<void>; makeSandbox?: () => Promise<void> }) {
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
    },
    messages: { read: async () => {}, get: () => undefined },
    ender: { end: async () => 100, forget: () => {} },
    store: { get: () => pod, uids: () => ['u'], directoryOf: () => DIRECTORY },
    events: {
      onStatus: (_: Pod, status: PodStatus) => statuses.push(status),
      onEnded: () => {},
      onProblemsChanged: () => {},
      onHappening: () => {},
    },
  }
  const options = {
    ...parts,
    log: createLogger('test', 'silent'),
    owner: 'host',

    hostIp: '192.0.2.1',
    place: () => ({}),
  }
  const runtime = new PodRuntime(options as unknown as PodRuntimeOptions)
  return { runtime, containers, put, statuses }
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
