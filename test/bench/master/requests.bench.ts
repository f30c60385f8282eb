/** Requests per second of the Kubernetes API by 64 clients, on SQLite and on MariaDB, beside etcd's own puts. */
import path from 'node:path'
import { type PrintFigure, printLine, rounded } from '../figures.ts'
import { inTemporaryDirectory } from '../store/bench-store.ts'
import { ApiUnderMeasurement, CLIENTS, configMap, NAMESPACE, pod, rateOf } from './api.ts'
import { etcdPuts } from './etcd.ts'
import { withMariadb } from './mariadb.ts'

const MILLISECONDS = 5_000
const MERGE = 'application/merge-patch+json'
const APPLY = 'application/apply-patch+yaml'

async function measure(engine: string, database: string, puts: number, print: PrintFigure): Promise<void> {
  const api = await ApiUnderMeasurement.start(database)
  const tell = (name: string, value: number, peer = false) =>
    print({
      bench: 'master',
      name: `${name}, ${engine}`,
      value: rounded(value),
      unit: '1/s',
      ...(peer
        ? {
            peer: { name: 'puts of etcd', value: rounded(puts), ratio: rounded(value / puts) },
            budget: 'ratio >= 1',
          }
        : {}),
    })
  const during = (one: (client: number, count: number) => Promise<unknown>, milliseconds = MILLISECONDS) =>
    rateOf(milliseconds, CLIENTS, one)
  const post = (kind: string, body: unknown) =>
    api.ask({ method: 'POST', path: `${NAMESPACE}/${kind}`, body })
  try {
    await api.order({ do: 'create', cluster: 'c1' })
    await during((client, count) => post('configmaps', configMap(`warm-${client}-${count}`)), 2_000)
    tell('creates of config maps', await during((c, n) => post('configmaps', configMap(`m-${c}-${n}`))), true)
    tell('creates of pods', await during((c, n) => post('pods', pod(`p-${c}-${n}`))), true)
    tell('reads', await during(c => api.ask({ method: 'GET', path: `${NAMESPACE}/configmaps/m-${c}-0` })))
    const patch = (type: string, body: (client: number, count: number) => unknown, query = '') =>
      during((client, count) =>
        api.ask({
          method: 'PATCH',
          path: `${NAMESPACE}/configmaps/m-${client}-0${query}`,
          type,
          body: body(client, count),
        }),
      )
    tell('merge patches', await patch(MERGE, (_, count) => ({ data: { count: String(count) } })))
    const applied = (client: number, count: number) => ({
      ...configMap(`m-${client}-0`),
      data: { applied: String(count) },
    })
    tell('server-side applies', await patch(APPLY, applied, '?fieldManager=bench&force=true'))
    const begin = performance.now()
    const list = await api.ask({ method: 'GET', path: `${NAMESPACE}/pods?limit=10000` })
    print({
      bench: 'master',
      name: `list of ${(JSON.parse(list) as { items: unknown[] }).items.length} pods, ${engine}`,
      value: rounded(performance.now() - begin),
      unit: 'ms',
    })
  } finally {
    await api.stop()
  }
}

export async function run(print: PrintFigure): Promise<void> {
  await inTemporaryDirectory(async directory => {
    const puts = await etcdPuts(directory, MILLISECONDS, CLIENTS)
    print({ bench: 'master', name: 'puts of etcd', value: rounded(puts), unit: '1/s' })
    await measure('SQLite', path.join(directory, 'drover.db'), puts, print)
    await withMariadb(async url => await measure('MariaDB', url, puts, print))
  })
}

if (import.meta.main) await run(printLine)
