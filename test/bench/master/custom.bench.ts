/** Custom kinds: how soon they are usable, how fast their objects are written, and what a definition costs. */
import path from 'node:path'
import { median, type PrintFigure, printLine, rounded } from '../figures.ts'
import { inTemporaryDirectory } from '../store/bench-store.ts'
import { ApiUnderMeasurement, CLIENTS, configMap, NAMESPACE, rateOf } from './api.ts'

const DEFINITIONS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions'
const CLUSTER = 'c1'
const KINDS = 50
/** Milliseconds of each measurement of a rate. */
const LONG = 4_000
const KIB = 1024

function definition(plural: string) {
  const text = { type: 'string', maxLength: 2048, description: 'A text.' }
  return {
    metadata: { name: `${plural}.example.com` },
    spec: {
      group: 'example.com',
      scope: 'Namespaced',
      names: { plural, kind: plural.charAt(0).toUpperCase() + plural.slice(1) },
      versions: [
        {
          name: 'v1',
          served: true,
          storage: true,
          subresources: { status: {} },
          schema: {
            openAPIV3Schema: {
              type: 'object',
              properties: {
                spec: {
                  type: 'object',
                  required: ['text'],
                  properties: {
                    text,
                    count: { type: 'integer', default: 1, minimum: 0 },
                    // As many fields as kinds in use have.
                    ...Object.fromEntries(Array.from({ length: 40 }, (_, index) => [`field${index}`, text])),
                  },
                  'x-kubernetes-validations': [{ rule: 'self.count < 100', message: 'too many' }],
                },
              },
            },
          },
        },
      ],
    },
  }
}

function object(name: string) {
  return { metadata: { name }, spec: { text: 'x'.repeat(900), count: 5 } }
}

/** Defines a kind and makes its first object, asking again and again. */
async function firstObject(api: ApiUnderMeasurement, plural: string): Promise<number> {
  const begin = performance.now()
  await api.ask({ method: 'POST', path: DEFINITIONS, body: definition(plural) }, CLUSTER)
  const place = `/apis/example.com/v1/namespaces/default/${plural}`
  for (;;) {
    try {
      await api.ask({ method: 'POST', path: place, body: object('first') }, CLUSTER)
      return performance.now() - begin
    } catch (error) {
      if (!String(error).includes(': 404')) throw error
    }
  }
}

export async function run(print: PrintFigure): Promise<void> {
  await inTemporaryDirectory(async directory => {
    const api = await ApiUnderMeasurement.start(path.join(directory, 'drover.db'))
    const heap = async () => (await api.order({ do: 'measure' })).heap ?? 0
    const tell = (name: string, value: number, unit: string, more: object = {}) =>
      print({ bench: 'master', name, value: rounded(value), unit, ...more })
    try {
      await api.order({ do: 'create', cluster: CLUSTER })
      await firstObject(api, 'warm')
      const before = await heap()
      const times: number[] = []
      for (let index = 0; index < KINDS; index += 1) times.push(await firstObject(api, `kind${index}`))
      tell('custom kind, from its definition to its first object', median(times), 'ms', { budget: '<= 100' })
      tell('custom kind, memory', ((await heap()) - before) / KINDS / KIB, 'KiB')
      const maps = await rateOf(LONG, CLIENTS, (client, count) =>
        api.ask(
          { method: 'POST', path: `${NAMESPACE}/configmaps`, body: configMap(`m${client}-${count}`) },
          CLUSTER,
        ),
      )
      const place = '/apis/example.com/v1/namespaces/default/kind0'
      const objects = await rateOf(LONG, CLIENTS, (client, count) =>
        api.ask({ method: 'POST', path: place, body: object(`o${client}-${count}`) }, CLUSTER),
      )
      tell('creates of custom objects', objects, '1/s', {
        peer: { name: 'creates of config maps', value: rounded(maps), ratio: rounded(objects / maps) },
      })
    } finally {
      await api.stop()
    }
  })
}

if (import.meta.main) await run(printLine)
