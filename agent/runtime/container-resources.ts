/** What a container may use: as a pod says it, as Docker has it, and whether a host has room for more. Pure. */
import { isDeepStrictEqual } from 'node:util'
import { type Container, type Pod, parseQuantity } from '../../protocol/kubernetes/index.ts'

export type Resources = NonNullable<Container['resources']>

/** As Docker has it; 0 for no limit. */
export interface DockerResources {
  /** Bytes. */
  readonly memory: number
  readonly nanoCpus: number
  readonly cpuShares: number
}

/** Share of CPU time that `resources.requests.cpu: 1` stands for (Docker's `--cpu-shares`). */
const SHARES_PER_CPU = 1024
/** Docker's minimum. */
const MINIMUM_SHARES = 2

function quantity(text: string | undefined): number {
  return (text === undefined ? undefined : parseQuantity(text)) ?? 0
}

export function dockerResources({ limits, requests }: Resources = {}): DockerResources {
  return {
    memory: Math.round(quantity(limits?.memory)),
    nanoCpus: Math.round(quantity(limits?.cpu) * 1e9),
    cpuShares: Math.max(MINIMUM_SHARES, Math.round(quantity(requests?.cpu) * SHARES_PER_CPU)),
  }
}

/** What Docker is asked for. */
export function resourceOptions(resources: Resources | undefined): {
  Memory?: number
  MemorySwap?: number
  NanoCpus?: number
  CpuShares: number
} {
  const { memory, nanoCpus, cpuShares } = dockerResources(resources)
  return {
    // Without a word of its own, Docker would let it swap as much again.
    ...(memory === 0 ? {} : { Memory: memory, MemorySwap: memory }),
    ...(nanoCpus === 0 ? {} : { NanoCpus: nanoCpus }),
    CpuShares: cpuShares,
  }
}

export function sameDockerResources(first: DockerResources, second: DockerResources): boolean {
  return isDeepStrictEqual({ ...first }, { ...second })
}

/** Whether a container has to be made anew to have other resources. */
export function needsRestart({ resizePolicy = [] }: Container, before: Resources, after: Resources): boolean {
  return resizePolicy.some(
    ({ resourceName, restartPolicy }) =>
      restartPolicy === 'RestartContainer' &&
      (['limits', 'requests'] as const).some(
        part => quantity(before[part]?.[resourceName]) !== quantity(after[part]?.[resourceName]),
      ),
  )
}

/** What counts against a host. */
export interface Demand {
  /** In thousandths. */
  readonly milliCpu: number
  /** Bytes. */
  readonly memory: number
}

/** Those containers that run beside each other. */
export function lastingContainers({ spec }: Pod): readonly Container[] {
  return [...(spec.initContainers ?? []).filter(each => each.restartPolicy === 'Always'), ...spec.containers]
}

export function demandOf(all: readonly (Resources | undefined)[]): Demand {
  const sum = (name: string) =>
    all.reduce(
      (total, resources) => total + quantity(resources?.requests?.[name] ?? resources?.limits?.[name]),
      0,
    )
  return { milliCpu: Math.round(sum('cpu') * 1000), memory: sum('memory') }
}

/** Why there is no room; undefined when there is. */
export type NoRoom = { readonly reason: 'Deferred' | 'Infeasible'; readonly message: string }

/** @param others what other pods have */
export function roomFor(wanted: Demand, others: readonly Demand[], host: Demand): NoRoom | undefined {
  for (const [field, name] of [
    ['milliCpu', 'cpu'],
    ['memory', 'memory'],
  ] as const) {
    if (wanted[field] > host[field]) {
      const message = `Node didn't have enough capacity: ${name}, requested: ${wanted[field]}, capacity: ${host[field]}`
      return { reason: 'Infeasible', message }
    }
    const used = others.reduce((sum, other) => sum + other[field], 0)
    if (wanted[field] + used > host[field]) {
      const message = `Node didn't have enough resource: ${name}, requested: ${wanted[field]}, used: ${used}, capacity: ${host[field]}`
      return { reason: 'Deferred', message }
    }
  }
  return undefined
}
