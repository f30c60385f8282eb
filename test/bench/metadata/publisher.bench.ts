/** From a change in the store to messages for 1,000 agents of a cluster with 30,000 containers. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { MetadataPublisher } from '../../../server/metadata/index.ts'
import { log, makeCluster, makeContainer, openWorld, type World } from '../../unit/server/metadata/world.ts'
import { type PrintFigure, printLine, rounded } from '../figures.ts'

const CONTAINERS = 30_000
const AGENTS = 1_000
const CHANGES = 500
/** Milliseconds between two changes. */
const PAUSE = 10

function percentile(samples: readonly number[], fraction: number): number {
  return samples.toSorted((a, b) => a - b)[Math.floor(samples.length * fraction)] ?? Number.NaN
}

/** What all agents together were sent. */
class Agents {
  bytes = 0
  messages = 0
  readonly #onMessage: (text: string) => void

  constructor(onMessage: (text: string) => void) {
    this.#onMessage = onMessage
  }

  subscribe(publisher: MetadataPublisher, clusterId: string): void {
    for (let agent = 0; agent < AGENTS; agent += 1) {
      const last = agent === AGENTS - 1
      publisher.subscribe({
        clusterId,
        position: undefined,
        backlog: () => 0,
        send: text => {
          this.bytes += text.length
          this.messages += 1
          if (last) this.#onMessage(text)
        },
      })
    }
  }
}

async function fill({ model }: World): Promise<{ clusterId: string; ids: string[] }> {
  const { cluster, project, host } = await makeCluster(model, 'bench')
  const place = { clusterId: cluster.id, accountId: project.id }
  const ids: string[] = []
  for (let index = 0; index < CONTAINERS; index += 1_000) {
    const names = Array.from({ length: 1_000 }, (_, at) => `container-${index + at}`)
    const made = await Promise.all(
      names.map(name =>
        makeContainer(model, place, name, {
          hostId: host.id,
          labels: { 'io.rancher.container.name': name, 'io.rancher.stack.name': 'shop' },
        }),
      ),
    )
    ids.push(...made.map(({ id }) => id))
  }
  return { clusterId: cluster.id, ids }
}

export async function bench(print: PrintFigure): Promise<void> {
  const directory = await mkdtemp(path.join(tmpdir(), 'metadata-bench-'))
  const world = await openWorld(path.join(directory, 'store.db'))
  const { model, system } = world
  const { clusterId, ids } = await fill(world)
  const publisher = new MetadataPublisher({ model, system, generation: 'bench', serviceToken: () => '', log })
  await publisher.start()
  const line = (name: string, value: number, unit: string, budget?: string) =>
    print({
      bench: 'metadata',
      name,
      value: rounded(value),
      unit,
      ...(budget === undefined ? {} : { budget }),
    })

  const sent = new Map<number, number>()
  const whole = Promise.withResolvers<void>()
  const agents = new Agents(text => {
    if (text.includes('"full":true') && text.includes('"more":false')) whole.resolve()
    for (const match of text.matchAll(/"startCount":(\d+)/g)) sent.set(Number(match[1]), performance.now())
  })
  const begin = performance.now()
  agents.subscribe(publisher, clusterId)
  await whole.promise
  line('model of 30000 containers made and encoded for 1000 agents', performance.now() - begin, 'ms')

  agents.bytes = 0
  const cpu = process.cpuUsage()
  const started = performance.now()
  const delays: number[] = []
  const acknowledged = new Map<number, number>()
  for (let change = 0; change < CHANGES; change += 1) {
    const startCount = 1_000 + change
    await model.containers.update(ids[change * 7] ?? '', current => ({ ...current, startCount }))
    acknowledged.set(startCount, performance.now())
    await setTimeout(PAUSE)
  }
  while (!sent.has(999 + CHANGES)) await setTimeout(PAUSE)
  const elapsed = performance.now() - started
  const { user, system: kernel } = process.cpuUsage(cpu)
  for (const [startCount, at] of acknowledged) delays.push((sent.get(startCount) ?? Number.NaN) - at)
  line('change to 1000 agents, p99', percentile(delays, 0.99), 'ms', '<= 1000')
  line('changes', CHANGES / (elapsed / 1000), '1/s')
  line('bytes per change and agent', agents.bytes / AGENTS / CHANGES, 'bytes')
  line('processor time', (user + kernel) / 1000 / elapsed, 'cores')
  await publisher.stop()
  await world.close()
  await rm(directory, { recursive: true, force: true })
}

if (process.argv[1] === import.meta.filename) await bench(printLine)
