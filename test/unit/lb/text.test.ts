import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import t from 'tap'
import { quoted, quotedFormat, requireName } from '../../../lb/text.ts'

t.test('a word means what it is', async t => {
  t.equal(quoted('a b#c"$HOME\\'), `'a b#c"$HOME\\'`)
  t.equal(quoted("it's"), `'it'\\''s'`)
  t.equal(quotedFormat('50%[x]'), `'50%%[x]'`)
})

t.test('what would begin a directive is refused', async t => {
  for (const text of ['a\nbackend x', 'a\rb', 'a\u0000b', 'a\u2028b', 'x'.repeat(4097)]) {
    t.throws(() => quoted(text), { code: 'InvalidModel' })
  }
  for (const name of ['', 'a b', "a'", 'a\n', 'a{b}', 'é', '%[x]']) {
    t.throws(() => requireName(name, 'name'), { code: 'InvalidModel' })
  }
})

t.test('templates write values with helpers only', async t => {
  const directory = path.resolve(import.meta.dirname, '../../../lb/templates')
  const writers =
    /^(?:word|format|name|number|address|alpn|line|appended|hostName|serverOf) |^(?:#|\/|>|else\b)/
  for (const file of readdirSync(directory)) {
    const text = readFileSync(path.join(directory, file), 'utf8')
    for (const [, expression = ''] of text.matchAll(/\{\{+~?(.*?)~?\}\}+/g))
      t.match(expression, writers, `${file}: ${expression}`)
  }
})
