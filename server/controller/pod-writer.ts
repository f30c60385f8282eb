/** What the controllers need from whoever turns deployment units into pods. */
import type { Container, DeploymentUnit, Project, Service, Stack } from '../model/index.ts'

/** A deployment unit with everything its pod is made from. */
export interface UnitBundle {
  readonly unit: DeploymentUnit
  readonly service: Service
  readonly stack: Stack
  readonly project: Project
  /** The containers of the unit: the primary and its sidekicks. */
  readonly containers: readonly Container[]
}

/** What is known of a unit's pod. */
export interface PodObservation {
  /** The node it was put on; absent while none was found. */
  readonly nodeName?: string
  /** Why it cannot be placed, in the scheduler's words. */
  readonly problem?: string
  /** uuids of containers, and whether Kubernetes takes them for ready. */
  readonly ready?: ReadonlyMap<string, boolean>
}

export interface PodWriter {
  /** Makes the unit's pod, or looks at the one that is there. */
  ensure(bundle: UnitBundle): Promise<PodObservation>
  /** Begins or continues the removal of the unit's pod. */
  remove(unit: DeploymentUnit, project: Project): Promise<'gone' | 'terminating'>
  /** Removes a namespace and everything in it. */
  removeNamespace(project: Project): Promise<'gone' | 'terminating'>
  /** Calls `listener` with a unit's uuid whenever its pod changed in a way that matters here. */
  onChange(listener: (unitUuid: string) => void): void
}
