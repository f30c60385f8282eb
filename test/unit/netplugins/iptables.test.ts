import fc from 'fast-check'
import t from 'tap'
import { type DesiredTable, NO_RULES, parseRules, targetOf } from '../../../netplugins/iptables/ruleset.ts'
import {
  chainEdits,
  jumpEdits,
  restoreDocument,
  tableEdits,
} from '../../../netplugins/iptables/table-edits.ts'

/** What iptables-restore does with edits, for the few forms that we write. */
function applyEdits(table: Map<string, string[]>, edits: readonly string[]): void {
  for (const edit of edits) {
    const [verb = '', chain = '', number = '', ...rest] = edit.split(' ')
    const rules = table.get(chain)
    if (verb.startsWith(':')) table.set(verb.slice(1), [])
    else if (verb === '-F') rules?.splice(0)
    else if (verb === '-X') table.delete(chain)
    else if (verb === '-D') rules?.splice(Number(number) - 1, 1)
    else if (verb === '-I') rules?.splice(Number(number) - 1, 0, rest.join(' '))
    else throw new Error(`not an edit: ${edit}`)
  }
}

const rule = fc.constantFrom(
  '-p tcp -j ACCEPT',
  '-p udp -j DROP',
  '-i lo -j RETURN',
  '-s 10.0.0.1/32 -j DROP',
)
const ourJump = fc.constantFrom(
  '-j CATTLE_A',
  '-m addrtype --dst-type LOCAL -j CATTLE_B',
  '-g CATTLE_OLD',
  '-j CATTLE_USER',
)

t.test('edits of a chain lead to the desired rules', async () => {
  fc.assert(
    fc.property(fc.array(rule), fc.array(rule), (actual, desired) => {
      const table = new Map([['CATTLE_A', [...actual]]])
      const edits = chainEdits('CATTLE_A', actual, desired)
      applyEdits(table, edits)
      return table.get('CATTLE_A')?.join('\n') === desired.join('\n')
    }),
  )
})

t.test('an inserted rule is one edit, an equal chain none', async t => {
  t.strictSame(chainEdits('C', ['a', 'b', 'c'], ['a', 'x', 'b', 'c']), ['-I C 2 x'])
  t.strictSame(chainEdits('C', ['a', 'b', 'c'], ['a', 'c']), ['-D C 2'])
  t.strictSame(chainEdits('C', ['a'], ['a']), [])
})

t.test('jumps come first, and rules of others keep their order', async () => {
  const jumps = [
    { from: 'FORWARD', rule: '-j CATTLE_USER' },
    { from: 'FORWARD', rule: '-j CATTLE_A' },
    { from: 'INPUT', rule: '-j CATTLE_B' },
  ]
  fc.assert(
    fc.property(fc.array(fc.oneof(rule, ourJump)), actual => {
      const table = new Map([['FORWARD', [...actual]]])
      applyEdits(table, jumpEdits('FORWARD', actual, jumps))
      const foreign = actual.filter(line => !targetOf(line)?.startsWith('CATTLE_'))
      return table.get('FORWARD')?.join('\n') === ['-j CATTLE_USER', '-j CATTLE_A', ...foreign].join('\n')
    }),
  )
})

t.test('a jump of an earlier version is replaced', async t => {
  t.strictSame(
    jumpEdits(
      'PREROUTING',
      ['-p tcp -j ACCEPT', '-m addrtype --dst-type LOCAL -j CATTLE_A'],
      [{ from: 'PREROUTING', rule: '-j CATTLE_A' }],
    ),
    ['-D PREROUTING 2', '-I PREROUTING 1 -j CATTLE_A'],
  )
})

const desiredTable: fc.Arbitrary<DesiredTable> = fc.record({
  chains: fc
    .uniqueArray(fc.constantFrom('CATTLE_A', 'CATTLE_B', 'CATTLE_C'))
    .chain(names => fc.tuple(...names.map(name => fc.tuple(fc.constant(name), fc.array(rule)))))
    .map(entries => new Map(entries)),
  userChains: fc.constantFrom([], ['CATTLE_USER']),
  jumps: fc.constantFrom([], [{ from: 'FORWARD', rule: '-j CATTLE_A' }]),
})

const actualTable = fc
  .record({
    FORWARD: fc.array(fc.oneof(rule, ourJump)),
    OUTPUT: fc.array(fc.oneof(rule, ourJump)),
    FOREIGN: fc.array(fc.oneof(rule, ourJump)),
    CATTLE_A: fc.option(fc.array(rule)),
    CATTLE_OLD: fc.option(fc.array(rule)),
    CATTLE_USER: fc.option(fc.array(rule)),
  })
  .map(
    chains =>
      new Map(
        Object.entries(chains).flatMap(([name, rules]) => (rules === null ? [] : [[name, rules] as const])),
      ),
  )

t.test('any table becomes the desired one in one go', async () => {
  fc.assert(
    fc.property(actualTable, desiredTable, (actual, desired) => {
      const table = new Map([...actual].map(([name, rules]) => [name, [...rules]]))
      applyEdits(table, tableEdits(actual, desired))
      if (tableEdits(table, desired).length > 0) return false
      for (const [name, rules] of desired.chains) if (table.get(name)?.join() !== rules.join()) return false
      const ours = [...table.keys()].filter(name => name.startsWith('CATTLE_'))
      if (ours.some(name => !desired.chains.has(name) && !desired.userChains.includes(name))) return false
      const kept = (rules: readonly string[]) =>
        rules.filter(line => !targetOf(line)?.startsWith('CATTLE_')).join()
      return ['FORWARD', 'OUTPUT', 'FOREIGN'].every(
        name => kept(table.get(name) ?? []) === kept(actual.get(name) ?? []),
      )
    }),
  )
})

t.test('what a user put into the chain for users stays, until the chain goes', async t => {
  const actual = new Map([['CATTLE_USER', ['-p tcp -j DROP']]])
  t.strictSame(tableEdits(actual, { chains: new Map(), userChains: ['CATTLE_USER'], jumps: [] }), [])
  t.strictSame(tableEdits(actual, NO_RULES.filter), ['-F CATTLE_USER', '-X CATTLE_USER'])
})

t.test('a document per run, a step per table', async t => {
  t.equal(
    restoreDocument(
      new Map([
        ['raw', []],
        ['nat', []],
      ]),
    ),
    '',
  )
  t.equal(
    restoreDocument(
      new Map([
        ['raw', []],
        ['nat', ['-F X', '-X X']],
      ]),
    ),
    '*nat\n-F X\n-X X\nCOMMIT\n',
  )
})

t.test('iptables-save is understood', async t => {
  const text = [
    '# Generated by iptables-save v1.8.9 (nf_tables)',
    '*nat',
    ':PREROUTING ACCEPT [12:720]',
    ':CATTLE_OUTPUT - [0:0]',
    '-A PREROUTING -m comment --comment "a -j CATTLE_X" -j DOCKER',
    '-A CATTLE_OUTPUT -d 169.254.169.250/32 -j RETURN',
    '-A CATTLE_OUTPUT',
    'COMMIT',
    '# Completed',
  ].join('\n')
  const nat = parseRules(text).get('nat')
  t.strictSame(nat?.get('CATTLE_OUTPUT'), ['-d 169.254.169.250/32 -j RETURN', ''])
  t.equal(nat?.get('PREROUTING')?.length, 1)
})
