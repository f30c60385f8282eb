import { readdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import fc from 'fast-check'
import t from 'tap'
import { createLogger, requireIpv4Block } from '../../../kit/index.ts'
import { AddressPool } from '../../../netplugins/ipam/index.ts'

const log = createLogger('test', 'silent')
const CLUSTER = requireIpv4Block('10.42.0.0/16', 'test')

function blocks(...texts: string[]) {
  return texts.map(text => requireIpv4Block(text, 'test'))
}

function owner(name: string) {
  return { containerId: name, interfaceName: 'eth0' }
}

async function openPool(directory: string, ...texts: string[]): Promise<AddressPool> {
  const pool = await AddressPool.open(directory, log)
  pool.setBlocks(CLUSTER, blocks(...texts))
  return pool
}

t.test('every address once, then BlockExhausted, then late reuse', async t => {
  const pool = await openPool(t.testdir(), '10.42.0.64/29')
  const taken: string[] = []
  for (let n = 0; n < 8; n += 1) taken.push(await pool.allocate(owner(`c${n}`)))
  t.strictSame(
    taken,
    Array.from({ length: 8 }, (_, n) => `10.42.0.${64 + n}`),
  )
  t.equal(pool.free, 0)
  await t.rejects(pool.allocate(owner('c8')), { code: 'BlockExhausted', message: /10\.42\.0\.64\/29/ })
  await pool.release(owner('c5'))
  await pool.release(owner('c2'))
  t.equal(await pool.allocate(owner('c9')), '10.42.0.66', 'round from where the last one was')
  t.equal(await pool.allocate(owner('c10')), '10.42.0.69')
})

t.test('hosts with the same blocks begin at different places, and go on from where they were', async t => {
  const range = ['10.42.0.64/26', '10.42.1.0/26']
  const directory = t.testdir()
  const firsts = new Set<string>()
  for (const host of ['192.0.2.1', '192.0.2.2', '192.0.2.3', '192.0.2.4']) {
    const pool = await AddressPool.open(path.join(directory, host), log)
    pool.setBlocks(CLUSTER, blocks(...range), [], host)
    firsts.add(await pool.allocate(owner('a')))
    const next = await pool.allocate(owner('b'))
    pool.setBlocks(CLUSTER, blocks(...range), [], host)
    t.not(await pool.allocate(owner('c')), next)
    t.equal(pool.free, 125)
  }
  t.equal(firsts.size, 4)
})

t.test("network, gateway and broadcast address are nobody's", async t => {
  const first = await openPool(t.testdir(), '10.42.0.0/30')
  t.equal(first.free, 2)
  t.strictSame(
    [await first.allocate(owner('a')), await first.allocate(owner('b'))],
    ['10.42.0.2', '10.42.0.3'],
  )
  const last = await openPool(t.testdir({}), '10.42.255.254/31')
  t.equal(await last.allocate(owner('a')), '10.42.255.254')
  await t.rejects(last.allocate(owner('b')), { code: 'BlockExhausted' })
})

t.test('a requested address', async t => {
  const pool = await openPool(t.testdir(), '10.42.0.64/26')
  t.equal(await pool.allocate(owner('a'), '10.42.0.100'), '10.42.0.100')
  await t.rejects(pool.allocate(owner('b'), '10.42.0.100'), { code: 'AddressInUse', message: /container a/ })
  await t.rejects(pool.allocate(owner('b'), '10.42.1.1'), {
    code: 'AddressNotAvailable',
    expected: /10\.42\.0\.64\/26/,
  })
  await t.rejects(pool.allocate(owner('b'), 'ten'), { code: 'AddressNotAvailable' })
  t.equal(await pool.allocate(owner('b')), '10.42.0.64', 'and the cursor did not move')
})

t.test('the cursor survives a restart; so does what is in use', async t => {
  const directory = t.testdir()
  const before = await openPool(directory, '10.42.0.64/26')
  for (const name of ['a', 'b', 'c']) await before.allocate(owner(name))
  await before.release(owner('c'))
  const after = await openPool(directory, '10.42.0.64/26')
  t.strictSame(
    after
      .assignments()
      .map(({ address, containerId }) => [address, containerId])
      .toSorted(),
    [
      ['10.42.0.64', 'a'],
      ['10.42.0.65', 'b'],
    ],
  )
  t.equal(await after.allocate(owner('d')), '10.42.0.67')
})

t.test('blocks change while the pool works', async t => {
  const pool = await openPool(t.testdir(), '10.42.0.64/31')
  for (const name of ['a', 'b']) await pool.allocate(owner(name))
  pool.setBlocks(CLUSTER, blocks('10.42.0.64/31', '10.42.3.0/30'))
  t.equal(await pool.allocate(owner('c')), '10.42.3.0')
  pool.setBlocks(CLUSTER, blocks('10.42.3.0/30'))
  t.equal(pool.free, 3)
  t.equal(pool.assignments().length, 3, 'in use is in use, in whatever block')
  t.strictSame(await pool.release(owner('a')), ['10.42.0.64'])
})

t.test('a crash between making a file and writing it', async t => {
  const directory = t.testdir({
    '10.42.0.64': '',
    '10.42.0.65': 'c1\neth',
    '10.42.0.66': 'c1\neth0\n',
    cursor: '',
  })
  const pool = await openPool(directory, '10.42.0.64/26')
  t.strictSame(pool.assignments(), [{ address: '10.42.0.66', containerId: 'c1', interfaceName: 'eth0' }])
  t.strictSame(readdirSync(directory).toSorted(), ['10.42.0.66', 'cursor'])
  t.equal(await pool.allocate(owner('a')), '10.42.0.64')
})

t.test('another process has the file', async t => {
  const directory = t.testdir()
  const pool = await openPool(directory, '10.42.0.64/26')
  writeFileSync(path.join(directory, '10.42.0.64'), 'other\neth0\n')
  t.equal(await pool.allocate(owner('a')), '10.42.0.65')
  await t.rejects(pool.allocate(owner('b'), '10.42.0.64'), {
    code: 'AddressInUse',
    message: /container other/,
  })
})

/** What may happen to a pool; restarts lose everything that is only in memory. */
type Step =
  | { kind: 'allocate' | 'release'; name: number }
  | { kind: 'restart' }
  | { kind: 'crash'; address: number }

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ kind: fc.constant('allocate' as const), name: fc.nat(30) }),
  fc.record({ kind: fc.constant('release' as const), name: fc.nat(30) }),
  fc.constant({ kind: 'restart' as const }),
  fc.record({ kind: fc.constant('crash' as const), address: fc.nat(15) }),
)

t.test('never an address twice, whatever happens', async t => {
  let run = 0
  const base = t.testdir()
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async steps => {
      run += 1
      const directory = path.join(base, String(run))
      let pool = await openPool(directory, '10.42.0.64/28')
      const model = new Map<string, string>()
      for (const action of steps) {
        if (action.kind === 'restart') pool = await openPool(directory, '10.42.0.64/28')
        else if (action.kind === 'crash') {
          // A process that ended right after it had created the file of a free address.
          const file = `10.42.0.${64 + action.address}`
          if (![...model.values()].includes(file)) writeFileSync(path.join(directory, file), '')
          pool = await openPool(directory, '10.42.0.64/28')
        } else if (action.kind === 'release') {
          const freed = await pool.release(owner(String(action.name)))
          if (freed.join() !== (model.get(String(action.name)) ?? '')) return false
          model.delete(String(action.name))
        } else if (!model.has(String(action.name))) {
          const address = await pool.allocate(owner(String(action.name))).catch(() => undefined)
          if (address === undefined) {
            if (model.size < 16) return false
            continue
          }
          if ([...model.values()].includes(address)) return false
          model.set(String(action.name), address)
        }
      }
      return pool.assignments().every(({ address, containerId }) => model.get(containerId) === address)
    }),
    { numRuns: 40 },
  )
})

t.test('many at once', async t => {
  const pool = await openPool(t.testdir(), '10.42.0.64/26')
  const results = await Promise.allSettled(
    Array.from({ length: 70 }, (_, n) => pool.allocate(owner(`c${n}`))),
  )
  const given = results.flatMap(result => (result.status === 'fulfilled' ? [result.value] : []))
  t.equal(new Set(given).size, 64)
  t.equal(given.length, 64)
})

t.test("the host's own address is kept back", async t => {
  const pool = await openPool(t.testdir(), '10.42.0.64/31')
  pool.setBlocks(CLUSTER, blocks('10.42.0.64/31'), ['10.42.0.64'])
  t.equal(pool.free, 1)
  await t.rejects(pool.allocate(owner('a'), '10.42.0.64'), { code: 'AddressNotAvailable' })
  t.equal(await pool.allocate(owner('a')), '10.42.0.65')
  await t.rejects(pool.allocate(owner('b')), { code: 'BlockExhausted' })
})
