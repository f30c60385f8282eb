/** 10,000 servers in 500 services: time until the first configuration is in use, time of one change, memory of HAProxy. */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createLogger } from '../../../kit/index.ts'
import {
  assignSlots,
  DEFAULT_DEFAULTS,
  DEFAULT_GLOBAL,
  Haproxy,
  type HaproxyModel,
} from '../../../lb/index.ts'
import { backend, endpoint, frontend, model } from '../../unit/lb/models.ts'
import { freePorts } from './origin.ts'

const SERVICES = 500
const ENDPOINTS = 20
const CHANGES = 50

const directory = await mkdtemp('/tmp/drover-bench-')
const [port = 0] = await freePorts(1)
const haproxy = new Haproxy({ name: 'bench', directory, log: createLogger('bench', 'silent') })
const services = Array.from({ length: SERVICES }, (_, service) => `service-${service}`)
const endpoints = (service: number) =>
  Array.from({ length: ENDPOINTS }, (_, index) =>
    endpoint(`${service}-${index}`, 10_000 + service * ENDPOINTS + index),
  )
const whole: HaproxyModel = model({
  global: DEFAULT_GLOBAL,
  defaults: DEFAULT_DEFAULTS,
  frontends: [
    frontend('web', port, {
      rules: services.map(name => ({
        host: { kind: 'exact', value: `${name}.example` } as const,
        backend: name,
      })),
    }),
  ],
  backends: services.map((name, service) => backend(name, assignSlots(undefined, endpoints(service)))),
})

function print(name: string, value: number, unit: string): void {
  process.stdout.write(
    `${JSON.stringify({ bench: 'haproxy', name, value: Number(value.toFixed(1)), unit })}\n`,
  )
}

/** MiB of the worker that serves. */
async function memory(): Promise<number> {
  const { Pid } = await haproxy.runtime.facts()
  const status = await readFile(`/proc/${Pid}/status`, 'utf8')
  return Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1]) / 1024
}

await haproxy.start()
const begin = performance.now()
await haproxy.apply(whole)
print('first configuration of 10,000 servers in 500 services', performance.now() - begin, 'ms')
print('memory of HAProxy with them', await memory(), 'MiB')
const times: number[] = []
let present = whole
for (let change = 0; change < CHANGES; change += 1) {
  const service = (change * 7) % SERVICES
  const moved = endpoints(service).map((one, index) =>
    index === 3 ? { ...one, port: 30_000 + change } : one,
  )
  const next = {
    ...present,
    backends: present.backends.map((one, index) =>
      index === service ? { ...one, slots: assignSlots(one.slots, moved) } : one,
    ),
  }
  const start = performance.now()
  const { how } = await haproxy.apply(next)
  times.push(performance.now() - start)
  if (how !== 'commands') throw new Error(`one change was brought about by: ${how}`)
  present = next
}
times.sort((a, b) => a - b)
print('one change of an endpoint, median', times[CHANGES / 2] ?? Number.NaN, 'ms')
print('one change of an endpoint, slowest', times.at(-1) ?? Number.NaN, 'ms')
await haproxy.stop()
await rm(directory, { recursive: true })
