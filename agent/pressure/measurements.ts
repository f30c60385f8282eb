/** Reads from the kernel what there is on this host. */
import { readFile, stat, statfs } from 'node:fs/promises'
import { explainError, type Logger } from '../../kit/index.ts'
import type { Signal } from './settings.ts'
import type { Measurements, Observation } from './signals.ts'

/** Directories on the file systems that are looked at. */
export interface MeasuredPlaces {
  /** Of the volumes of pods. */
  readonly nodefs: string
  /** Of what Docker keeps. */
  readonly imagefs: string
}

async function memory(): Promise<Observation> {
  const text = await readFile('/proc/meminfo', 'utf8')
  const field = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(text)?.[1]) * 1024
  return { available: field('MemAvailable'), capacity: field('MemTotal') }
}

async function processes(): Promise<Observation> {
  const limits = await Promise.all(
    ['pid_max', 'threads-max'].map(async name => Number(await readFile(`/proc/sys/kernel/${name}`, 'utf8'))),
  )
  const capacity = Math.min(...limits)
  // `0.20 0.18 0.12 1/80 11206`: of 80, one runs.
  const used = Number((await readFile('/proc/loadavg', 'utf8')).split(/[ /]/)[4])
  return { available: capacity - used, capacity }
}

/** Bytes of a file system. */
export async function measureSpace(place: string): Promise<Observation> {
  const { bavail, blocks, bsize } = await statfs(place)
  return { available: bavail * bsize, capacity: blocks * bsize }
}

/** Whether two directories are on one file system. */
export async function shareSpace(first: string, second: string): Promise<boolean> {
  const [one, other] = await Promise.all([stat(first), stat(second)])
  return one.dev === other.dev
}

async function inodes(place: string): Promise<Observation | undefined> {
  const { ffree, files } = await statfs(place)
  // Some file systems make them as they need them.
  return files === 0 ? undefined : { available: ffree, capacity: files }
}

/** What cannot be read is left out. */
export async function measureHost({ nodefs, imagefs }: MeasuredPlaces, log: Logger): Promise<Measurements> {
  const measured = new Map<Signal, Observation>()
  const readers: readonly (readonly [Signal, () => Promise<Observation | undefined>])[] = [
    ['memory.available', memory],
    ['nodefs.available', () => measureSpace(nodefs)],
    ['nodefs.inodesFree', () => inodes(nodefs)],
    ['imagefs.available', () => measureSpace(imagefs)],
    ['imagefs.inodesFree', () => inodes(imagefs)],
    ['pid.available', processes],
  ]
  for (const [signal, read] of readers) {
    try {
      const observation = await read()
      const { available = Number.NaN, capacity = Number.NaN } = observation ?? {}
      if (Number.isFinite(available) && capacity > 0) measured.set(signal, { available, capacity })
    } catch (error) {
      log.warn({ signal, reason: explainError(error) }, 'how much there is on this host is not known')
    }
  }
  return measured
}
