/** What we keep of `docker stats`. */
import type { ContainerStats } from '#dockerode'

export interface ContainerUsage {
  /** Of one processor, since the container began. */
  readonly processorNanoseconds: number
  /** Bytes, with the pages of files that could be given back. */
  readonly memory: number
  /** Bytes without those that the kernel would give back first. */
  readonly workingSet: number
  readonly processes: number
}

/** Pages of files that nobody used lately: called so by the first and the second version of control groups. */
const INACTIVE = ['total_inactive_file', 'inactive_file']

/** @returns undefined for a container that does not run */
export function readUsage({
  cpu_stats: processor,
  memory_stats: memory,
  pids_stats: processes,
}: ContainerStats): ContainerUsage | undefined {
  const { usage } = memory
  if (usage === undefined) return undefined
  const details = memory.stats as Partial<Record<string, number>> | undefined
  const inactive = INACTIVE.map(name => details?.[name]).find(value => value !== undefined) ?? 0
  return {
    processorNanoseconds: processor.cpu_usage.total_usage,
    memory: usage,
    workingSet: Math.max(0, usage - inactive),
    processes: processes?.current ?? 0,
  }
}
