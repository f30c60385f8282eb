/** Long YAML is read aside: everybody else goes on meanwhile. */
import tap from 'tap'
import { YamlReader } from '../../../../server/master/apiserver/http/yaml/index.ts'

/** What takes longest to read for its length. */
function dense(items: number): string {
  return `x: {${Array.from({ length: items }, (_, at) => `k${at}`).join(',')}}`
}

async function turnsDuring(work: Promise<unknown>): Promise<number> {
  let turns = 0
  let ended = false
  const count = () => {
    turns += 1
    if (!ended) setImmediate(count)
  }
  setImmediate(count)
  await work.finally(() => {
    ended = true
  })
  return turns
}

void tap.test('long and short texts read alike', async t => {
  const reader = new YamlReader()
  for (const comment of ['', `# ${'x'.repeat(5_000)}\n`]) {
    const json = await reader.read('c-1', `${comment}a: &a [1]\nb: *a\n`)
    t.equal(json, '{"a":[1],"b":[1]}')
    for (const [wrong, message] of [
      ['x: 1\nx: 2\n', /Map keys must be unique: x/],
      ['x: [', /not valid YAML/],
    ] as const) {
      await t.rejects(reader.read('c-1', comment + wrong), { code: 'BadRequest', message })
    }
  }
})

void tap.test('the event loop turns while a long text is read', async t => {
  const reader = new YamlReader()
  await reader.read('c-1', dense(1_000))
  t.ok((await turnsDuring(reader.read('c-1', dense(40_000)))) > 1_000)
})

void tap.test('clusters take turns', async t => {
  const reader = new YamlReader()
  const order: string[] = []
  const read = async (cluster: string) => {
    await reader.read(cluster, dense(2_000))
    order.push(cluster)
  }
  await Promise.all([...Array.from({ length: 6 }, () => read('loud')), read('quiet')])
  t.ok(order.indexOf('quiet') <= 2, order.join())
  const many = Array.from({ length: 40 }, () => reader.read('loud', dense(1_000)))
  const refused = (await Promise.allSettled(many)).filter(({ status }) => status === 'rejected')
  t.equal(refused.length, 7, 'one is read, 32 wait')
})

void tap.test('what takes more memory than there is ends its thread, not the process', async t => {
  const reader = new YamlReader()
  const huge = `x: [${'{a: b},'.repeat(140_000)}]`
  await t.rejects(reader.read('c-1', huge), { code: 'RequestEntityTooLarge' })
  t.equal(await reader.read('c-1', `a: ${'x'.repeat(3_000)}`), `{"a":"${'x'.repeat(3_000)}"}`)
})
