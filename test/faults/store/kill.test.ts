/**
 * kill -9 at any moment of a heavy load: whatever was acknowledged is there afterwards, the revisions have no gap, and
 * none is torn or used twice.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createInterface } from 'node:readline'
import t, { type Test } from 'tap'
import { createLogger } from '../../../kit/index.ts'
import {
  type ChangeEvent,
  openStore,
  type RunningStore,
  type Space,
  type SpaceId,
} from '../../../server/store/index.ts'
import { type Acknowledged, SPACES, WRITERS } from './writer.ts'

const ROUNDS = 15

/** Runs the writer until it has acknowledged `enough` writes, then kills it. */
async function writeAndKill(file: string, round: number, enough: number): Promise<Acknowledged[]> {
  const writer = spawn(process.execPath, [path.join(import.meta.dirname, 'writer.ts'), file, String(round)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const closed = once(writer, 'close')
  const acknowledged: Acknowledged[] = []
  for await (const line of createInterface(writer.stdout)) {
    // The last line may be cut in the middle; all others are whole.
    if (line.endsWith('}')) acknowledged.push(JSON.parse(line) as Acknowledged)
    if (acknowledged.length === enough) writer.kill('SIGKILL')
  }
  const [, signal] = (await closed) as [number | null, string | null]
  if (signal !== 'SIGKILL') throw new Error('the writer ended by itself')
  return acknowledged
}

async function historyOf(space: Space): Promise<ChangeEvent[]> {
  const events: ChangeEvent[] = []
  const watch = space.watch({ after: space.compactedRevision })
  if (watch.revision === space.revision) return events
  for await (const batch of watch) {
    events.push(...batch)
    if (watch.revision === space.revision) break
  }
  return events
}

interface Spoken {
  type: string
  name: string
  json: string
}

function spokenOf(event: ChangeEvent): Spoken {
  if (event.type === 'deleted') return { type: event.type, name: event.previous.key.name, json: '' }
  return { type: event.type, name: event.object.key.name, json: event.object.json }
}

function checkHistory(t: Test, space: Space, events: readonly ChangeEvent[]): void {
  const expected = Array.from(
    { length: space.revision - space.compactedRevision },
    (_, index) => space.compactedRevision + 1 + index,
  )
  t.same(
    events.map(({ revision }) => revision),
    expected,
    `${space.id}: no revision is missing or twice`,
  )
  const torn = events.filter(
    event => event.type !== 'deleted' && JSON.parse(event.object.json).revision !== event.revision,
  )
  t.same(torn, [], `${space.id}: every object is whole and carries its own revision`)
}

function checkAcknowledged(
  t: Test,
  space: Space,
  events: readonly ChangeEvent[],
  acknowledged: readonly Acknowledged[],
): void {
  const ours = acknowledged.filter(({ space: id }) => id === space.id)
  const lost = ours.filter(({ revision, type, name, json }) => {
    if (revision <= space.compactedRevision) return false
    const event = events[revision - space.compactedRevision - 1]
    if (event === undefined) return true
    const spoken = spokenOf(event)
    return spoken.type !== type || spoken.name !== name || spoken.json !== json
  })
  t.same(lost, [], `${space.id}: all of ${ours.length} acknowledged writes are there`)
  t.equal(new Set(ours.map(({ revision }) => revision)).size, ours.length, 'each with a revision of its own')
}

/** What compaction has cut off from its history: each object is the acknowledged version or a later one. */
function checkObjects(t: Test, space: Space, acknowledged: readonly Acknowledged[], rounds: number): void {
  const newest = new Map<string, Acknowledged>()
  for (const write of acknowledged) {
    if (write.space !== space.id) continue
    if (write.revision > (newest.get(write.name)?.revision ?? 0)) newest.set(write.name, write)
  }
  const objects = new Map(space.list('pods').objects.map(object => [object.key.name, object]))
  const outdated: Acknowledged[] = []
  const missing: Acknowledged[] = []
  for (const write of newest.values()) {
    const object = objects.get(write.name)
    if (object === undefined) {
      if (write.type !== 'deleted' && write.revision <= space.compactedRevision) missing.push(write)
    } else if (object.revision < write.revision) outdated.push(write)
    else if (object.revision === write.revision && object.json !== write.json) outdated.push(write)
  }
  t.same(outdated, [], `${space.id}: objects are current`)
  // A writer may have deleted one object without an acknowledgement, because it was killed first.
  t.ok(missing.length <= WRITERS * rounds, `${space.id}: only what was being deleted may be missing`)
}

async function check(
  t: Test,
  store: RunningStore,
  acknowledged: readonly Acknowledged[],
  rounds: number,
): Promise<void> {
  for (const id of SPACES) {
    const space = await store.openSpace(id)
    const events = await historyOf(space)
    checkHistory(t, space, events)
    checkAcknowledged(t, space, events, acknowledged)
    checkObjects(t, space, acknowledged, rounds)
  }
}

t.test('kill -9 under load, again and again, on one file', { timeout: 300_000 }, async t => {
  const directory = await mkdtemp(path.join(tmpdir(), 'store-kill-'))
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  const file = path.join(directory, 'store.db')
  const acknowledged: Acknowledged[] = []
  for (let round = 0; round < ROUNDS; round += 1) {
    const enough = 1 + Math.floor(Math.random() * 3_000)
    acknowledged.push(...(await writeAndKill(file, round, enough)))
    const store = await openStore({ database: file, log: createLogger('test', 'silent') })
    t.same(store.spaces(), [...SPACES] satisfies SpaceId[])
    await check(t, store, acknowledged, round + 1)
    await store.stop()
  }
})
