/** How `kubectl get` shows endpoint slices and network policies. */
import type { Frozen } from '../json.ts'
import type { EndpointSlice, SlicePort } from '../objects.ts'
import { AGE_COLUMN, NAME_COLUMN, type Printer, textColumn } from './column.ts'
import { since } from './duration.ts'

/** Items of a list that are shown before the rest is only counted. */
const SHOWN = 3

function shortened(items: readonly string[]): string {
  if (items.length === 0) return '<unset>'
  const text = items.slice(0, SHOWN).join(',')
  return items.length > SHOWN ? `${text} + ${items.length - SHOWN} more...` : text
}

function portText({ port, name }: Frozen<SlicePort>): string {
  return port === undefined ? (name ?? '*') : String(port)
}

export const endpointSlicePrinter: Printer<EndpointSlice> = {
  columns: [
    NAME_COLUMN,
    textColumn('AddressType', 'IPv4, IPv6 or FQDN.'),
    textColumn('Ports', 'Ports of the endpoints.'),
    textColumn('Endpoints', 'Addresses of the endpoints.'),
    AGE_COLUMN,
  ],
  cells: (slice, now) => [
    slice.metadata.name,
    slice.addressType,
    shortened((slice.ports ?? []).map(portText)),
    shortened((slice.endpoints ?? []).flatMap(({ addresses }) => addresses)),
    since(slice.metadata.creationTimestamp, now),
  ],
}
