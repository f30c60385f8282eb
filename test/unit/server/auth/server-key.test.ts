/** What the server seals, it alone opens. */
import path from 'node:path'
import t from 'tap'
import { ServerKey } from '../../../../server/auth/index.ts'

t.test('sealed texts', async t => {
  const key = await ServerKey.load(path.join(t.testdir(), 'key'))
  const other = await ServerKey.load(path.join(t.testdir({ other: {} }), 'key'))
  const sealed = key.seal('a use', 'a secret text')
  t.equal(key.unseal('a use', sealed), 'a secret text')
  t.notOk(Buffer.from(sealed, 'base64').includes('secret'))
  t.not(key.seal('a use', 'a secret text'), sealed, 'the same text is not seen to be the same')
  t.throws(() => key.unseal('another use', sealed), { code: 'CannotUnseal' })
  t.throws(() => other.unseal('a use', sealed), { code: 'CannotUnseal' })
  const bytes = Buffer.from(sealed, 'base64')
  bytes.writeUInt8((bytes.at(-1) ?? 0) ^ 1, bytes.length - 1)
  t.throws(() => key.unseal('a use', bytes.toString('base64')), { code: 'CannotUnseal' })
  t.throws(() => key.unseal('a use', 'short'), { code: 'CannotUnseal' })
})
