/** Which deployment units a service should get or lose next. Pure. */
import type { DeploymentUnit, Service } from '../model/index.ts'

/** A unit as the plan sees it. */
export interface PlannedUnit extends Pick<DeploymentUnit, 'id' | 'state' | 'serviceIndex' | 'launchVersion'> {
  /** Every container of it runs, and is healthy where that is checked. */
  readonly running: boolean
}

export interface UnitPlan {
  /** Indexes for which a unit is to be made. */
  readonly create: readonly number[]
  /** Ids of units that are to go. */
  readonly remove: readonly string[]
  /** The service has what it should have, and all of it runs. */
  readonly settled: boolean
}

type PlanInput = Pick<Service, 'scale' | 'launchVersion' | 'batchSize' | 'startFirst'>

/**
 * Plans one step.
 *
 * Units above the scale go; missing ones are made. Units of an older launch version are replaced at most `batchSize` at a
 * time, and only while every unit of the new version runs, so that a version that does not start stops the upgrade
 * instead of the service. With `startFirst` the replacement runs before the old one goes.
 */
export function planUnits(service: PlanInput, units: readonly PlannedUnit[]): UnitPlan {
  const create: number[] = []
  const remove: string[] = []
  const outdated: PlannedUnit[] = []
  let busy = 0
  const active = units.filter(unit => unit.state === 'active')
  for (let index = 1; index <= service.scale; index += 1) {
    const here = active.filter(unit => unit.serviceIndex === index)
    const current = here.filter(unit => unit.launchVersion === service.launchVersion)
    const old = here.filter(unit => unit.launchVersion !== service.launchVersion)
    const [first, ...extra] = current
    for (const unit of extra) remove.push(unit.id)
    if (first === undefined && old.length === 0) create.push(index)
    else if (first === undefined) outdated.push(...old)
    else if (first.running) remove.push(...old.map(unit => unit.id))
    if (first !== undefined && !first.running) busy += 1
  }
  remove.push(...active.filter(unit => unit.serviceIndex > service.scale).map(unit => unit.id))
  // Units that are still going occupy a place of the batch, and so do those that were just asked for.
  const going = units.filter(unit => unit.state === 'removing' && unit.serviceIndex <= service.scale).length
  const free = service.batchSize - busy - going - create.length
  const next = outdated.slice(0, Math.max(0, free))
  if (service.startFirst) create.push(...next.map(unit => unit.serviceIndex))
  else remove.push(...next.map(unit => unit.id))
  return {
    create,
    remove,
    settled:
      create.length === 0 &&
      remove.length === 0 &&
      outdated.length === 0 &&
      active.length === service.scale &&
      active.every(unit => unit.running),
  }
}
