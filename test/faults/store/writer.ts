/**
 * A process that writes as fast as it can until it is killed. Prints one line for each write that was acknowledged.
 *
 * Usage: node writer.ts FILE ROUND
 */
import { createLogger } from '../../../kit/index.ts'
import { openStore, parseSpaceId, type Space, type SpaceId } from '../../../server/store/index.ts'

/** What was acknowledged. */
export interface Acknowledged {
  readonly space: SpaceId
  readonly type: 'created' | 'updated' | 'deleted'
  readonly name: string
  readonly revision: number
  /** The whole object. */
  readonly json: string
}

export const SPACES = ['alpha', 'beta', 'gamma'].map(parseSpaceId)
/** Concurrent writers of each space. */
export const WRITERS = 24

function print(acknowledged: Acknowledged): void {
  // Writing to a pipe is synchronous: the line is out before the next write begins.
  process.stdout.write(`${JSON.stringify(acknowledged)}\n`)
}

/** Creates, updates and deletes objects that are its own, and changes one that all share. */
async function write(space: Space, round: string, writer: number): Promise<void> {
  const encode = (text: string) => (revision: number) =>
    JSON.stringify({ revision, text: text.padEnd(200 + writer * 40, '.') })
  for (let step = 0; ; step += 1) {
    const key = { kind: 'pods', namespace: `n${writer % 3}`, name: `r${round}-w${writer}-${step % 20}` }
    const present = space.get(key)
    if (present === undefined) {
      const { revision, json } = await space.create(key, encode('created'))
      print({ space: space.id, type: 'created', name: key.name, revision, json })
    } else if (step % 3 === 0) {
      const { revision } = await space.delete(key, { revision: present.revision })
      print({ space: space.id, type: 'deleted', name: key.name, revision, json: '' })
    } else {
      const { revision, json } = await space.update(key, encode(`step ${step}`), {
        revision: present.revision,
      })
      print({ space: space.id, type: 'updated', name: key.name, revision, json })
    }
    if (writer === 0 && step % 50 === 49 && Number(round) % 3 === 2) {
      await space.compact(Math.max(space.compactedRevision, space.revision - 300))
    }
  }
}

async function main(file: string, round: string): Promise<void> {
  const store = await openStore({ database: file, log: createLogger('writer', 'warn') })
  const spaces = await Promise.all(
    SPACES.map(id => (store.spaces().includes(id) ? store.openSpace(id) : store.createSpace(id))),
  )
  await Promise.all(
    spaces.flatMap(space => Array.from({ length: WRITERS }, (_, writer) => write(space, round, writer))),
  )
}

const [, script, file, round] = process.argv
if (script === import.meta.filename && file !== undefined && round !== undefined) await main(file, round)
