/**
 * Reads back what a replica kept: the newest complete snapshot, and the journals written since.
 *
 * Files are numbered. Snapshot N holds everything that was in the journals before N; journal N what came after it.
 */
import { readdir } from 'node:fs/promises'
import path from 'node:path'
import { systemErrorCode } from '../../../kit/index.ts'
import {
  type MetadataObject,
  type MetadataPosition,
  metadataObject,
  metadataPosition,
  metadataStep,
} from '../../../protocol/index.ts'
import { readLines } from './checksummed-lines.ts'
import { followsFrom, positionAfter } from './position.ts'

/** Raised when an older agent would misread what a newer one wrote. */
export const REPLICA_FORMAT = 1

/** Takes what is read, a few objects after the other: there is never a second model in memory. */
export interface RecoveryTarget {
  apply(updates: readonly MetadataObject[], removes: readonly string[]): void
}

export interface Recovered {
  /** Undefined when the objects are not the model of any moment, or there are none. */
  readonly position: MetadataPosition | undefined
  /** What was not as it was written, for the log. */
  readonly problems: readonly string[]
  /** The highest number of any file; 0 when there is none. */
  readonly number: number
  readonly journals: number
  readonly snapshotBytes: number
}

interface State {
  readonly target: RecoveryTarget
  position: MetadataPosition | undefined
  readonly problems: string[]
}

/** Objects that are handed over at once. */
const RUN = 500

const FILE_NAME = /^(snapshot|journal)-(\d{1,12})$/

export function snapshotFile(directory: string, number: number): string {
  return path.join(directory, `snapshot-${number}`)
}

export function journalFile(directory: string, number: number): string {
  return path.join(directory, `journal-${number}`)
}

export interface ReplicaFileNames {
  readonly snapshots: readonly number[]
  readonly journals: readonly number[]
}

/** Numbers of the files in a directory, ascending. */
export async function listReplicaFiles(directory: string): Promise<ReplicaFileNames> {
  let names: string[]
  try {
    names = await readdir(directory)
  } catch (error) {
    if (systemErrorCode(error) !== 'ENOENT') throw error
    names = []
  }
  const numbers = (kind: string) =>
    names
      .map(name => FILE_NAME.exec(name))
      .filter(match => match?.[1] === kind)
      .map(match => Number(match?.[2]))
      .toSorted((a, b) => a - b)
  return { snapshots: numbers('snapshot'), journals: numbers('journal') }
}

/** First line of a snapshot. */
interface SnapshotHeader {
  readonly format: number
  readonly position: MetadataPosition | null
}

function readHeader(value: unknown): SnapshotHeader | undefined {
  const { format, position } = (value ?? {}) as Partial<SnapshotHeader>
  if (format !== REPLICA_FORMAT) return undefined
  return { format, position: metadataPosition.accepts(position) ? position : null }
}

/**
 * Loads one snapshot. Objects whose lines are good are kept when others are not: names that are answered from old
 * knowledge are better than names that are not answered. Only the position is gone then.
 *
 * @returns its size in bytes
 */
async function loadSnapshot(directory: string, number: number, state: State): Promise<number> {
  let header: SnapshotHeader | undefined
  let bytes = 0
  let bad = 0
  let good = 0
  let announced: number | undefined
  let first = true
  let run: MetadataObject[] = []
  for await (const line of readLines(snapshotFile(directory, number))) {
    if (line.kind === 'value') {
      bytes += line.bytes
      if (first) header = readHeader(line.value)
      else if (metadataObject.accepts(line.value)) run.push(line.value)
      else announced = (line.value as { end?: number } | null)?.end ?? announced
    } else bad += 1
    first = false
    if (run.length < RUN) continue
    good += run.length
    state.target.apply(run, [])
    run = []
  }
  good += run.length
  state.target.apply(run, [])
  const complete = header !== undefined && bad === 0 && announced === good
  if (complete) state.position = header?.position ?? undefined
  else state.problems.push(`snapshot ${number} is damaged: ${good} objects of it are used`)
  return bytes
}

/**
 * Applies one journal, up to the first line that is not as it was written or does not fit. Without a position, what it
 * says is newer than what is known, and no more.
 */
async function loadJournal(directory: string, number: number, state: State): Promise<void> {
  for await (const line of readLines(journalFile(directory, number))) {
    if (line.kind === 'bad') {
      state.problems.push(`journal ${number} ${line.torn ? 'ends in the middle of a line' : 'is damaged'}`)
      return
    }
    if (!metadataStep.accepts(line.value)) {
      // The only other thing that is written: a full synchronisation began here.
      state.position = undefined
      continue
    }
    const step = line.value
    if (state.position !== undefined && !followsFrom(state.position, step)) {
      state.problems.push(`journal ${number} does not follow from what was before it`)
      return
    }
    state.target.apply(step.updates, step.removes)
    if (state.position !== undefined) state.position = positionAfter(state.position, step)
  }
}

/**
 * @param target is given all objects that are known, and nothing before
 * @throws the system's error for a file that is there and cannot be read
 */
export async function recover(directory: string, target: RecoveryTarget): Promise<Recovered> {
  const { snapshots, journals } = await listReplicaFiles(directory)
  const state: State = { target, position: undefined, problems: [] }
  // Snapshots appear complete, or not at all: the newest is the one that counts.
  const base = snapshots.at(-1)
  const snapshotBytes = base === undefined ? 0 : await loadSnapshot(directory, base, state)
  const since = journals.filter(number => number >= (base ?? 0))
  for (const number of since) await loadJournal(directory, number, state)
  const { position, problems } = state
  return {
    ...{ position, problems },
    number: Math.max(0, ...snapshots, ...journals),
    journals: since.length,
    snapshotBytes,
  }
}
