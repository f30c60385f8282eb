/** Brings a space from the database into memory by replaying its log. */
import { isDroverError, kitErrors } from '../../kit/index.ts'
import type { Database, LogRow, SpaceRow } from './database.ts'
import type { RecentEventsLimit } from './recent-events.ts'
import { SpaceState } from './space-state.ts'
import { fencedOff } from './write-failure.ts'

const LOAD_PAGE = { rows: 5_000, bytes: 4 * 1024 * 1024 }

function damaged({ id }: SpaceRow, message: string) {
  return kitErrors.CorruptFile({
    object: `space ${id}`,
    message: `its log is damaged: ${message}`,
    mend: 'restore the database from a backup',
  })
}

/** Puts one row into the state, checking that it continues what is there. */
function replay(space: SpaceRow, state: SpaceState, row: LogRow): void {
  const { revision, createdRevision, json, deleted } = row
  const key = state.objects.ownKey(row)
  const object = deleted ? undefined : { key, revision, createdRevision, json }
  if (revision <= space.compactedRevision) {
    if (object === undefined) throw damaged(space, `revision ${revision} is a deletion in the compacted part`)
    state.restore(object)
    return
  }
  if (revision !== state.revision + 1) {
    throw damaged(space, `revision ${revision} follows revision ${state.revision}`)
  }
  const replaced = state.objects.get(key)?.revision ?? 0
  if (replaced !== row.previousRevision || state.apply({ revision, key, object }) === undefined) {
    throw damaged(space, `revision ${revision} replaces revision ${row.previousRevision}, not ${replaced}`)
  }
}

async function replayAll(database: Database, space: SpaceRow, state: SpaceState): Promise<void> {
  let after = 0
  for (let done = false; !done; ) {
    const page = await database.loadSpace(space.key, after, LOAD_PAGE)
    for (const row of page.rows) replay(space, state, row)
    after = page.rows.at(-1)?.revision ?? after
    done = page.done
  }
  if (state.revision !== space.revision) {
    throw damaged(space, `it ends at revision ${state.revision}, the space is at ${space.revision}`)
  }
}

/**
 * Loads a space whose row the caller has just acquired.
 *
 * @throws `CorruptFile` when the log has a gap or contradicts itself; `WriteFailed` when another process has taken the
 *   space over meanwhile; what the database throws
 */
export async function loadSpace(
  database: Database,
  space: SpaceRow,
  recent: RecentEventsLimit,
): Promise<SpaceState> {
  const state = new SpaceState(space.compactedRevision, recent)
  try {
    await replayAll(database, space, state)
  } catch (error) {
    // Whoever has taken it over writes and compacts while we read: that only looks like damage.
    if (isDroverError(error, 'CorruptFile') && (await database.readSpace(space.key))?.epoch !== space.epoch) {
      throw fencedOff(space.id)
    }
    throw error
  }
  return state
}
