/** The generated table is whole, and is what the generator makes of the reference documents. */
import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import t from 'tap'
import { parse as parseYaml } from 'yaml'
import { loadCatalog } from '../../../../server/master/apiserver/catalog/index.ts'
import { generateTable, renderTable } from '../../../../server/master/apiserver/generate/index.ts'
import { readSources } from '../../../../server/master/apiserver/generate/main.ts'
import { decodeObject, parseProtobuf, parseTable } from '../../../../server/master/apiserver/schema/index.ts'

const root = path.resolve(import.meta.dirname, '../../../..')
const reference = process.env.DROVER_KUBERNETES_REFERENCE ?? path.join(root, '../shared/kubernetes')
const file = path.join(root, 'server/master/apiserver/gen/kubernetes-1.36.json')
const skip = existsSync(path.join(reference, '1.36/swagger.json'))
  ? false
  : `no reference data at ${reference}`

t.test('the table carries its own checksum', async t => {
  const text = await readFile(file, 'utf8')
  t.ok(text.length < 700_000, `${text.length} bytes`)
  const table = parseTable(text, 'table')
  t.equal(table.version, '1.36')
  t.throws(() => parseTable(text.replace('"containerPort"', '"containerPart"'), 'table'), {
    code: 'CorruptTable',
  })
  t.throws(() => parseTable(text.slice(0, -10), 'table'), { code: 'CorruptTable' })
  t.throws(() => parseTable('{}', 'table'), { code: 'CorruptTable' })
})

t.test('the table is what the generator makes', { skip }, async t => {
  const at = (name: string) => path.join(reference, '1.36', name)
  const sources = await readSources({
    swagger: at('swagger.json'),
    discovery: at('discovery'),
    v3: at('v3'),
    protobuf: at('protobuf-fields.json'),
  })
  t.equal(renderTable(generateTable('1.36', sources)), await readFile(file, 'utf8'))
})

t.test('an unknown version has no catalog', async t => {
  await t.rejects(loadCatalog('9.99'), { code: 'UnknownVersion' })
})

t.test(
  'reference objects decode the same from JSON, YAML and protobuf, and are stable',
  { skip },
  async t => {
    const { schemas } = await loadCatalog('1.36')
    const directory = path.join(reference, 'golden')
    let compared = 0
    for (const name of (await readdir(directory)).filter(entry => entry.endsWith('.json'))) {
      const read = (extension: string) => readFile(path.join(directory, name.replace(/json$/, extension)))
      const json = JSON.parse((await read('json')).toString('utf8'))
      if (json.apiVersion === undefined) continue
      const schema = schemas.findKind(json.apiVersion, json.kind)
      if (schema === undefined) continue
      const yaml = parseYaml((await read('yaml')).toString('utf8'))
      const protobuf = parseProtobuf(await read('pb'), (apiVersion, kind) =>
        schemas.findKind(apiVersion, kind),
      )
      const { unknown } = decodeObject(json, schema, name)
      decodeObject(yaml, schema, name)
      decodeObject(protobuf, schema, name)
      t.same(unknown, [], `${name} has no unknown field`)
      t.same(yaml, json, `${name} from YAML`)
      t.same(protobuf, json, `${name} from protobuf`)
      const again = structuredClone(json)
      decodeObject(again, schema, name)
      t.same(again, json, `${name} decodes to itself`)
      compared += 1
    }
    t.ok(compared > 60, `${compared} kinds compared`)
  },
)

t.test('discovery of what is served agrees with the reference', { skip }, async t => {
  const { groupVersions } = await loadCatalog('1.36')
  for (const { group, version, resources } of groupVersions) {
    const name = group === '' ? `api__${version}.json` : `apis__${group}__${version}.json`
    const document = JSON.parse(await readFile(path.join(reference, '1.36/discovery', name), 'utf8'))
    for (const resource of resources) {
      const expected = document.resources.find((entry: { name: string }) => entry.name === resource.resource)
      t.match(
        expected,
        {
          kind: resource.kind,
          namespaced: resource.namespaced,
          singularName: resource.singular,
          verbs: [...resource.verbs],
        },
        `${group}/${version}/${resource.resource}`,
      )
      t.same(expected.shortNames ?? [], resource.shortNames)
      t.same(expected.categories ?? [], resource.categories)
      for (const subresource of resource.subresources.values()) {
        const full = `${resource.resource}/${subresource.name}`
        const known = document.resources.find((entry: { name: string }) => entry.name === full)
        t.match(known, { kind: subresource.kind.kind, verbs: [...subresource.verbs] }, full)
      }
    }
  }
})
