/** What an agent must not load: each of these would be in the memory of every host. */
import { execFileSync } from 'node:child_process'
import path from 'node:path'
import t from 'tap'

const ROOT = path.resolve(import.meta.dirname, '../../..')

/** Loads all of the agent and says what Node.js and npm packages came with it. */
const LOAD = `
  await import(${JSON.stringify(path.join(ROOT, 'agent/composition.ts'))})
  const { createRequire } = await import('node:module')
  const packages = Object.keys(createRequire(import.meta.url).cache)
  console.log(JSON.stringify([...process.moduleLoadList, ...packages]))
`

t.test('an agent loads no second HTTP client, and nothing of engines that are far away', async t => {
  const text = execFileSync(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', '--input-type=module', '--eval', LOAD],
    { encoding: 'utf8' },
  )
  const loaded = JSON.parse(text) as string[]
  t.ok(loaded.length > 100)
  for (const heavy of [
    'deps/undici/undici',
    'node_modules/ssh2/',
    'node_modules/@grpc/',
    'node_modules/protobufjs/',
  ]) {
    t.same(
      loaded.filter(name => name.includes(heavy)),
      [],
      heavy,
    )
  }
})
