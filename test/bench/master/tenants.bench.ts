/** Many clusters in one process: how fast they are made, what they cost idle and filled, and what is left of them. */
import path from 'node:path'
import { sleep } from '../../../kit/index.ts'
import { median, type PrintFigure, printLine, rounded } from '../figures.ts'
import { inTemporaryDirectory } from '../store/bench-store.ts'
import { ApiUnderMeasurement, configMap, NAMESPACE } from './api.ts'

const TENANTS = 100
/** Made, filled and deleted before anything is measured. */
const WARM = 20
/** Objects that each is filled with. */
const OBJECTS = 100
const MIB = 1024 * 1024
/** Milliseconds of quiet before a cluster sleeps: long enough to make and measure all of them. */
const QUIET = 30_000

async function fill(api: ApiUnderMeasurement, id: string): Promise<void> {
  const create = (index: number) =>
    api.ask({ method: 'POST', path: `${NAMESPACE}/configmaps`, body: configMap(`m${index}`) }, id)
  await Promise.all(Array.from({ length: OBJECTS }, (_, index) => create(index)))
}

export async function run(print: PrintFigure): Promise<void> {
  await inTemporaryDirectory(async directory => {
    const api = await ApiUnderMeasurement.start(path.join(directory, 'drover.db'), QUIET)
    const ids = Array.from({ length: TENANTS }, (_, index) => `t${index}`)
    const memory = async (when: string, budget?: string) => {
      const { resident = 0, heap = 0 } = await api.order({ do: 'measure' })
      const figure = { bench: 'master', unit: 'MiB' } as const
      print({
        ...figure,
        name: `resident, ${when}`,
        value: rounded(resident / MIB),
        ...(budget ? { budget } : {}),
      })
      return { heap, resident }
    }
    try {
      await api.order({ do: 'create', cluster: 'first' })
      // What is loaded and compiled once, for whoever is first.
      for (const id of ids.slice(0, WARM)) {
        await api.order({ do: 'create', cluster: id })
        await fill(api, id)
        await api.order({ do: 'delete', cluster: id })
      }
      const before = await memory('one cluster')
      const times: number[] = []
      const begin = performance.now()
      for (const id of ids) {
        const start = performance.now()
        await api.order({ do: 'create', cluster: id })
        await api.ask({ method: 'GET', path: NAMESPACE }, id)
        times.push(performance.now() - start)
      }
      const rate = (TENANTS / (performance.now() - begin)) * 1000
      print({
        bench: 'master',
        name: 'new cluster, usable',
        value: rounded(median(times)),
        unit: 'ms',
        budget: '<= 100',
      })
      print({ bench: 'master', name: 'new clusters', value: rounded(rate), unit: '1/s', budget: '>= 50' })
      const idle = await memory(`${TENANTS} idle clusters`, '<= 250')
      const each = (idle.heap - before.heap) / TENANTS / MIB
      print({ bench: 'master', name: 'idle cluster', value: rounded(each), unit: 'MiB', budget: '<= 1' })
      for (;;) {
        await sleep(1000)
        if (((await api.order({ do: 'measure' })).asleep ?? 0) >= TENANTS) break
      }
      const asleep = await memory(`${TENANTS} sleeping clusters`)
      print({
        bench: 'master',
        name: 'sleeping cluster',
        value: rounded(((asleep.heap - before.heap) / TENANTS / MIB) * 1024),
        unit: 'KiB',
      })
      const wakes: number[] = []
      for (const id of ids) {
        const start = performance.now()
        await api.ask({ method: 'GET', path: NAMESPACE }, id)
        wakes.push(performance.now() - start)
      }
      const wake = { bench: 'master', unit: 'ms', budget: '<= 200' } as const
      print({ ...wake, name: 'first answer of a sleeping cluster', value: rounded(median(wakes)) })
      print({ ...wake, name: 'slowest of them', value: rounded(Math.max(...wakes)) })
      for (const id of ids) await fill(api, id)
      await memory(`each with ${OBJECTS} objects`)
      for (const id of ids) await api.order({ do: 'delete', cluster: id })
      const after = await memory('all deleted')
      for (const kind of ['heap', 'resident'] as const) {
        print({
          bench: 'master',
          name: `${kind === 'heap' ? 'live' : 'resident'} memory after deletion, of that before`,
          value: rounded(after[kind] / before[kind]),
          unit: 'ratio',
          budget: '<= 1.1',
        })
      }
    } finally {
      await api.stop()
    }
  })
}

if (import.meta.main) await run(printLine)
