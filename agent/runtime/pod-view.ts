/** A pod's Docker containers, sorted out. Pure. */
import type { ContainerDetails } from '../docker/index.ts'
import { DOCKER_LABEL } from './docker-labels.ts'

export interface SandboxView {
  readonly details: ContainerDetails
  readonly attempt: number
}

export interface ContainerView {
  readonly details: ContainerDetails
  readonly name: string
  readonly attempt: number
  readonly sandboxId: string
}

/** What Docker has of a pod. */
export interface PodView {
  /** Newest first. */
  readonly sandboxes: readonly SandboxView[]
  /** Per container of the pod, newest first. */
  readonly containers: ReadonlyMap<string, readonly ContainerView[]>
}

function attemptOf(details: ContainerDetails): number {
  const attempt = Number(details.labels[DOCKER_LABEL.attempt])
  return Number.isInteger(attempt) && attempt >= 0 ? attempt : 0
}

/** Sorts the Docker containers of one pod. */
export function viewPod(all: readonly ContainerDetails[]): PodView {
  const sandboxes: SandboxView[] = []
  const containers = new Map<string, ContainerView[]>()
  for (const details of all) {
    const attempt = attemptOf(details)
    if (details.labels[DOCKER_LABEL.type] === 'podsandbox') sandboxes.push({ details, attempt })
    else {
      const name = details.labels[DOCKER_LABEL.container] ?? ''
      const list = containers.get(name) ?? []
      list.push({ details, name, attempt, sandboxId: details.labels[DOCKER_LABEL.sandbox] ?? '' })
      containers.set(name, list)
    }
  }
  const newestFirst = (a: { attempt: number }, b: { attempt: number }) => b.attempt - a.attempt
  for (const list of containers.values()) list.sort(newestFirst)
  return { sandboxes: sandboxes.sort(newestFirst), containers }
}
