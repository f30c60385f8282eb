/** Keys of balancers: asked for once, kept for when there is no server, and forgotten with the balancer. */
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import t, { type Test } from 'tap'
import { CertificateKeeper } from '../../../../agent/balancer/certificate-keeper.ts'
import { createLogger } from '../../../../kit/index.ts'
import type { ServiceInfo } from '../../../../protocol/index.ts'

async function scene(t: Test) {
  const directory = await mkdtemp(path.join(tmpdir(), 'keeper-'))
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  const file = path.join(directory, 'deep', 'certificates.json')
  const asked: string[] = []
  let answer: unknown = { certificates: [{ name: 'site', fingerprint: 'f1', pem: 'KEY ONE' }] }
  const keeper = () =>
    new CertificateKeeper({
      file,
      request: async uuid => {
        asked.push(uuid)
        if (answer === undefined) throw new Error('no server')
        return answer
      },
      log: createLogger('keeper', 'silent'),
    })
  const answers = (next: unknown) => {
    answer = next
  }
  return { file, asked, keeper, answers }
}

const balancer = (uuid: string, fingerprint: string) =>
  ({ uuid, lbCertificates: [{ name: 'site', fingerprint }] }) as unknown as ServiceInfo

t.test('is asked for once, and kept where only its owner reads', async t => {
  const { keeper, asked, file } = await scene(t)
  const first = keeper()
  t.strictSame([...(await first.of(balancer('a', 'f1')))], [['site', 'KEY ONE']])
  await first.of(balancer('a', 'f1'))
  t.strictSame(asked, ['a'])
  t.equal((await stat(file)).mode & 0o777, 0o600)
})

t.test('serves without a server, also after a start, and older ones where newer cannot be got', async t => {
  const { keeper, answers } = await scene(t)
  await keeper().of(balancer('a', 'f1'))
  answers(undefined)
  const next = keeper()
  t.equal((await next.of(balancer('a', 'f1'))).get('site'), 'KEY ONE')
  t.equal((await next.of(balancer('a', 'f2'))).get('site'), 'KEY ONE')
  answers({ certificates: [{ name: 'site', fingerprint: 'f2', pem: 'KEY TWO' }] })
  t.equal((await next.of(balancer('a', 'f2'))).get('site'), 'KEY TWO')
})

t.test('goes with the balancer', async t => {
  const { keeper, file } = await scene(t)
  const first = keeper()
  for (const uuid of ['a', 'b']) await first.of(balancer(uuid, 'f1'))
  await first.keepOnly(new Set(['b']))
  t.strictSame(Object.keys(JSON.parse(await readFile(file, 'utf8')).services), ['b'])
  await first.keepOnly(new Set())
  t.notMatch(await readFile(file, 'utf8'), 'KEY')
})

t.test('answers and files of another form are no certificates', async t => {
  const { keeper, file, answers } = await scene(t)
  answers({ certificates: [{ name: 'site' }] })
  t.equal((await keeper().of(balancer('a', 'f1'))).size, 0)
  answers({ certificates: [{ name: 'site', fingerprint: 'f1', pem: 'KEY ONE' }] })
  await keeper().of(balancer('a', 'f1'))
  await writeFile(file, '{"services": 1}')
  t.equal((await keeper().of(balancer('a', 'f1'))).get('site'), 'KEY ONE', 'it is asked for again')
})
