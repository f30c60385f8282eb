import t from 'tap'
import type { Association } from '../../../../netplugins/ipsec/associations.ts'
import type { DesiredConnection } from '../../../../netplugins/ipsec/connection.ts'
import { PeerMachine } from '../../../../netplugins/ipsec/peer-machine.ts'

const BLOCK = '10.42.2.0/26'
const FURTHER = '10.42.2.64/26'
const CREDENTIAL = 'aaaaaaaa'
const ACCEPTED = [CREDENTIAL]

function desired(options: Partial<DesiredConnection> = {}): DesiredConnection {
  return {
    hostId: 'h2',
    name: 'wanted',
    peerAddress: '192.0.2.2',
    localBlocks: ['10.42.1.0/26'],
    remoteBlocks: [BLOCK],
    begins: true,
    section: {},
    ...options,
  }
}

function association(id: number, options: Partial<Association> = {}): Association {
  return {
    id,
    name: 'wanted',
    hostId: 'h2',
    credential: CREDENTIAL,
    isEstablished: true,
    isConnecting: false,
    localBlocks: ['10.42.1.0/26'],
    remoteBlocks: [BLOCK],
    ...options,
  }
}

const connecting = association(9, {
  isEstablished: false,
  isConnecting: true,
  localBlocks: [],
  remoteBlocks: [],
})

function machineOf(options: Partial<DesiredConnection> = {}): PeerMachine {
  return new PeerMachine(desired(options), 0, () => 0)
}

t.test('the side that begins does so at once, and is patient with its own attempt', async t => {
  const machine = machineOf()
  t.match(machine.step([], ACCEPTED, 0), { state: 'connecting', begin: true })
  t.match(machine.step([connecting], ACCEPTED, 500), { begin: false })
  t.match(machine.step([connecting], ACCEPTED, 20_000), { begin: false })
  t.same(machine.step([association(9)], ACCEPTED, 21_000), { state: 'up', begin: false, end: [] })
})

t.test('the other side waits for it, but not for ever', async t => {
  const machine = machineOf({ begins: false })
  t.match(machine.step([], ACCEPTED, 0), { begin: false, lookAgain: 3_000 })
  t.match(machine.step([], ACCEPTED, 2_000), { begin: false, lookAgain: 1_000 })
  t.match(machine.step([], ACCEPTED, 3_000), { begin: true })
})

t.test('failed attempts are repeated after growing pauses', async t => {
  const machine = machineOf()
  let now = 0
  const begun: number[] = []
  for (; begun.length < 10; now += 100) if (machine.step([], ACCEPTED, now).begin) begun.push(now)
  const pauses = begun.slice(1).map((time, index) => time - (begun[index] ?? 0))
  t.same(
    pauses,
    pauses.toSorted((a, b) => a - b),
  )
  t.ok((pauses.at(-1) ?? 0) <= 62_000)
  t.ok((pauses[0] ?? 0) < 3_000)
})

t.test('one attempt at a time, and an attempt of which nothing is heard ends', async t => {
  const machine = machineOf()
  machine.step([], ACCEPTED, 0)
  for (let now = 1_000; now < 60_000; now += 1_000)
    t.equal(machine.step([connecting], ACCEPTED, now).begin, false)
  const begins = [60_000, 61_000, 62_000].map(now => machine.step([connecting], ACCEPTED, now).begin)
  t.same(begins, [false, true, false])
})

t.test('too many at once: it waits for its turn', async t => {
  const machine = machineOf()
  t.match(machine.step([], ACCEPTED, 0, false), { begin: false, lookAgain: 200 })
  t.match(machine.step([], ACCEPTED, 200), { begin: true })
})

t.test('a refusal is told until it is over, and is not hidden by what follows from it', async t => {
  const machine = machineOf()
  machine.step([], ACCEPTED, 0)
  machine.failed({ reason: 'wrong secret', isRefusal: true })
  machine.failed({ reason: 'nothing was established', isRefusal: false })
  t.match(machine.step([], ACCEPTED, 1_000), { state: 'refused', reason: 'wrong secret' })
  t.strictSame(machine.step([association(1)], ACCEPTED, 2_000).reason, undefined)
})

t.test('a peer that does not answer is down', async t => {
  const machine = machineOf()
  machine.failed({ reason: 'does not answer', isRefusal: false })
  t.match(machine.step([], ACCEPTED, 0), { state: 'down', reason: 'does not answer' })
})

t.test('something new is tried at once, whatever failed before', async t => {
  const machine = machineOf()
  for (let now = 0; now < 100_000; now += 1_000) machine.step([], ACCEPTED, now)
  machine.failed({ reason: 'wrong secret', isRefusal: true })
  machine.want(desired({ name: 'changed' }), 100_000)
  t.match(machine.step([], ACCEPTED, 100_000), { state: 'connecting', begin: true })
})

t.test('the old one carries until the new one does', async t => {
  const machine = machineOf()
  const old = association(1, { name: 'old' })
  t.match(machine.step([old], ACCEPTED, 0), { state: 'up', begin: true, end: [] })
  t.match(machine.step([old, connecting], ACCEPTED, 100), { state: 'up', begin: false, end: [] })
  t.match(machine.step([old, association(9)], ACCEPTED, 200), { state: 'up', begin: false, end: [1] })
})

t.test('a peer that does not know a new block yet: the rest is carried, and it is tried again', async t => {
  const machine = machineOf({ remoteBlocks: [BLOCK, FURTHER] })
  t.match(machine.step([association(1)], ACCEPTED, 0), {
    state: 'connecting',
    reason: /10\.42\.2\.64\/26/,
    begin: true,
    end: [],
  })
  const both = association(2, { remoteBlocks: [BLOCK, FURTHER] })
  t.match(machine.step([association(1), both], ACCEPTED, 1_000), { state: 'up', end: [] })
  t.match(machine.step([association(1), both], ACCEPTED, 5_000), { state: 'up', end: [1] })
})

t.test('both began: one of the two ends, the newest stays, and the peer may be replacing one', async t => {
  for (const [begins, grace] of [
    [true, 3_000],
    [false, 15_000],
  ] as const) {
    const machine = machineOf({ begins })
    const list = [association(1), association(2)]
    t.match(machine.step(list, ACCEPTED, 0), { state: 'up', begin: false, end: [], lookAgain: 1_000 })
    t.same(machine.step(list, ACCEPTED, grace - 1).end, [])
    t.same(machine.step(list, ACCEPTED, grace).end, [1])
    const settled = machine.step([association(2)], ACCEPTED, grace + 1)
    t.same(settled, { state: 'up', begin: false, end: [] })
    t.same(machine.step(list, ACCEPTED, grace + 2).end, [], 'and the next time there is grace again')
  }
})

t.test('a credential that is not believed any more', async t => {
  const machine = machineOf()
  const revoked = association(1, { name: 'old', credential: 'bbbbbbbb' })
  t.match(machine.step([revoked], ACCEPTED, 0), { state: 'connecting', begin: true, end: [1] })
})

t.test('a lost association is made anew, by the other side after it waited', async t => {
  const machine = machineOf({ begins: false })
  machine.step([association(1)], ACCEPTED, 0)
  t.match(machine.step([], ACCEPTED, 50_000), { state: 'connecting', begin: false, lookAgain: 3_000 })
  t.match(machine.step([], ACCEPTED, 53_000), { begin: true })
})

t.test('charon begins by itself when a peer went silent: no second attempt beside it', async t => {
  const machine = machineOf()
  machine.step([association(1)], ACCEPTED, 0)
  t.match(machine.step([connecting], ACCEPTED, 1_000), { begin: false })
})
