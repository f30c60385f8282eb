/** What is said about pods that are ended or not taken, in the kubelet's words. Pure. */

import type { Candidate, Resource } from './ranking.ts'
import { requestOf } from './ranking.ts'
import type { PressureCondition } from './signals.ts'

const UNITS = [
  ['Gi', 2 ** 30],
  ['Mi', 2 ** 20],
  ['Ki', 2 ** 10],
] as const

/** `52428800` as `51200Ki`: the largest unit that says it well. */
export function formatBytes(bytes: number): string {
  for (const [unit, size] of UNITS) if (bytes >= 10 * size) return `${Math.round(bytes / size)}${unit}`
  return String(Math.round(bytes))
}

/** Why a pod is ended. */
export function evictionMessage(
  { pod, usage }: Candidate,
  resource: Resource,
  threshold: string,
  available: number,
): string {
  const amount = resource === 'pids' ? String(available) : formatBytes(available)
  const parts = [
    `The node was low on resource: ${resource}.`,
    `Threshold quantity: ${threshold}, available: ${amount}.`,
  ]
  for (const { name } of resource === 'pids' ? [] : pod.spec.containers) {
    const of = usage?.containers.get(name)
    const used = resource === 'memory' ? of?.memory : of?.disk
    const request = requestOf(pod, resource, name)
    if (used === undefined || used <= request) continue
    parts.push(
      `Container ${name} was using ${formatBytes(used)}, request is ${formatBytes(request)}, has larger consumption of ${resource}.`,
    )
  }
  return `${parts.join(' ')} `
}

/** Why a pod is not taken. */
export function refusalMessage(conditions: ReadonlySet<PressureCondition>): string {
  return `The node had condition: [${[...conditions].join(' ')}]. `
}
