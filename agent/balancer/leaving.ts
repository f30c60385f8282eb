/** Which targets of a balancer are to end, and which of them still have clients. Pure. */
import { type HaproxyModel, type StatisticsRow, serverName } from '../../lb/index.ts'

/** The container that an endpoint is a port of, from an id that `targets.ts` made. */
function containerOf(endpointId: string): string {
  return endpointId.split('/')[0] ?? ''
}

/** uuids of the containers that get no new clients. */
export function leavingContainers(model: HaproxyModel | undefined): ReadonlySet<string> {
  const slots = model?.backends.flatMap(backend => backend.slots) ?? []
  return new Set(slots.flatMap(endpoint => (endpoint?.draining ? [containerOf(endpoint.id)] : [])))
}

/**
 * The containers that get no new clients, with whether they have some.
 *
 * @param rows what HAProxy says of its servers; one that it says nothing of may have clients
 */
export function busyContainers(
  { backends }: HaproxyModel,
  rows: readonly StatisticsRow[],
): ReadonlyMap<string, boolean> {
  const sessions = new Map(
    rows.map(({ proxy, server, columns }) => [
      `${proxy}/${server}`,
      Number(columns.scur || 1) + Number(columns.qcur || 0),
    ]),
  )
  const busy = new Map<string, boolean>()
  for (const { name, slots } of backends) {
    for (const [slot, endpoint] of slots.entries()) {
      if (endpoint?.draining !== true) continue
      const uuid = containerOf(endpoint.id)
      const has = sessions.get(`${name}/${serverName(slot)}`) !== 0
      busy.set(uuid, has || busy.get(uuid) === true)
    }
  }
  return busy
}
