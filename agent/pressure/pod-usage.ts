/** What pods use of their host: asked for only when something is scarce, because it takes Docker and the disk some time. */
import type { Dir } from 'node:fs'
import { lstat, opendir } from 'node:fs/promises'
import path from 'node:path'
import { explainError, type Logger, systemErrorCode } from '../../kit/index.ts'
import { LABEL } from '../../protocol/index.ts'
import type { Pod } from '../../protocol/kubernetes/index.ts'
import type { ContainerInventory, DockerEngine } from '../docker/index.ts'
import type { PodUsage } from './ranking.ts'
import type { Signal } from './settings.ts'

export interface PodUsageOptions {
  readonly engine: Pick<DockerEngine, 'usage' | 'diskUsage'>
  readonly inventory: Pick<ContainerInventory, 'all'>
  /** What is kept of a pod on disk. */
  readonly directoryOf: (uid: string) => string
  readonly log: Logger
}

/** What is asked for: each takes its time. */
export interface Counted {
  /** What processes use: memory, and how many there are. */
  readonly processes: boolean
  /** What containers wrote beside their volumes, and their logs. */
  readonly layers: boolean
  /** What is in volumes on disk. */
  readonly volumes: boolean
}

/** What of a pod counts when something is scarce. @param shared volumes and images are on one file system */
export function countedFor(signal: Signal, shared: boolean): Counted {
  const disk = signal.startsWith('nodefs') || signal.startsWith('imagefs')
  return {
    processes: !disk,
    layers: disk && (shared || signal.startsWith('imagefs')),
    volumes: disk && (shared || signal.startsWith('nodefs')),
  }
}

/** Files of one pod that are counted. */
const FILES = 100_000
/** Bytes of a block as `stat` counts them. */
const BLOCK = 512

/**
 * Bytes that a directory takes on its own file system.
 *
 * @param limit files that are looked at
 */
export async function directorySize(directory: string, limit = FILES): Promise<number> {
  const { dev } = await lstat(directory)
  const waiting = [directory]
  let size = 0
  let left = limit
  for (let next = waiting.pop(); next !== undefined && left > 0; next = waiting.pop()) {
    const entries = await openPresent(next)
    if (entries === undefined) continue
    for await (const entry of entries) {
      left -= 1
      const place = path.join(next, entry.name)
      // It may be gone by now.
      const facts = await lstat(place).catch(() => undefined)
      if (facts === undefined || facts.dev !== dev) continue
      size += facts.blocks * BLOCK
      if (facts.isDirectory()) waiting.push(place)
      if (left <= 0) break
    }
  }
  return size
}

/** A directory of a pod, which the pod may remove at any moment: what it takes must be known all the same. */
async function openPresent(directory: string): Promise<Dir | undefined> {
  try {
    return await opendir(directory)
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(systemErrorCode(error) ?? '')) return undefined
    throw error
  }
}

export class PodUsages {
  readonly #options: PodUsageOptions

  constructor(options: PodUsageOptions) {
    this.#options = options
  }

  /**
   * What is not counted is 0.
   *
   * @returns undefined when it could not be measured
   */
  async of(pod: Pod, counted: Counted): Promise<PodUsage | undefined> {
    const { engine, inventory, log } = this.#options
    const { uid = '' } = pod.metadata
    const containers = new Map<string, { memory: number; disk: number }>()
    let processes = 0
    try {
      const runs = [...inventory.all()].filter(({ labels }) => labels[LABEL.podUid] === uid)
      for (const { id, pid, labels } of runs) {
        const used = pid === 0 || !counted.processes ? undefined : await engine.usage(id)
        const disk = counted.layers ? await engine.diskUsage(id) : 0
        const name = labels[LABEL.podContainer] ?? ''
        const before = containers.get(name) ?? { memory: 0, disk: 0 }
        containers.set(name, { memory: before.memory + (used?.workingSet ?? 0), disk: before.disk + disk })
        processes += used?.processes ?? 0
      }
      const all = [...containers.values()]
      const volumes = counted.volumes ? await this.#volumesOf(uid) : 0
      return {
        memory: all.reduce((sum, { memory }) => sum + memory, 0),
        disk: volumes + all.reduce((sum, { disk }) => sum + disk, 0),
        processes,
        containers,
      }
    } catch (error) {
      log.warn({ pod: pod.metadata.name, reason: explainError(error) }, 'what a pod uses is not known')
      return undefined
    }
  }

  async #volumesOf(uid: string): Promise<number> {
    const directory = path.join(this.#options.directoryOf(uid), 'volumes')
    const isThere = await lstat(directory).then(
      facts => facts.isDirectory(),
      () => false,
    )
    return isThere ? await directorySize(directory) : 0
  }
}
