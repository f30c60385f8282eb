/** How `kubectl get` shows what is about the network. */
import type { Frozen } from '../json.ts'
import type { EndpointSlice, Endpoints, Ingress, IngressClass, NetworkPolicy, SlicePort } from '../objects.ts'
import { selectorText } from '../selection/index.ts'
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

export const networkPolicyPrinter: Printer<NetworkPolicy> = {
  columns: [NAME_COLUMN, textColumn('Pod-Selector', 'Labels of the pods.'), AGE_COLUMN],
  cells: ({ metadata, spec }, now) => {
    const text = selectorText(spec?.podSelector)
    return [metadata.name, text === '' ? '<none>' : text, since(metadata.creationTimestamp, now)]
  },
}

function ingressHosts({ spec }: Frozen<Ingress>): string {
  const hosts = (spec.rules ?? []).flatMap(({ host }) => (host === undefined || host === '' ? [] : [host]))
  if (hosts.length === 0) return '*'
  return hosts.length > SHOWN
    ? `${hosts.slice(0, SHOWN).join(',')} + ${hosts.length - SHOWN} more...`
    : hosts.join(',')
}

export const ingressPrinter: Printer<Ingress> = {
  columns: [
    NAME_COLUMN,
    textColumn('Class', 'Class of the ingress.'),
    textColumn('Hosts', 'Names that it serves.'),
    textColumn('Address', 'Where it is reached.'),
    textColumn('Ports', 'Ports that it serves.'),
    AGE_COLUMN,
  ],
  cells: (ingress, now) => [
    ingress.metadata.name,
    ingress.spec.ingressClassName ?? '<none>',
    ingressHosts(ingress),
    (ingress.status?.loadBalancer?.ingress ?? []).map(({ ip, hostname }) => ip ?? hostname ?? '').join(','),
    (ingress.spec.tls ?? []).length > 0 ? '80, 443' : '80',
    since(ingress.metadata.creationTimestamp, now),
  ],
}

export const ingressClassPrinter: Printer<IngressClass> = {
  columns: [
    NAME_COLUMN,
    textColumn('Controller', 'Who serves it.'),
    textColumn('Parameters', 'More about it.'),
    AGE_COLUMN,
  ],
  cells: ({ metadata, spec }, now) => {
    const { kind, name, apiGroup } = spec?.parameters ?? {}
    const place = apiGroup === undefined ? '' : `.${apiGroup}`
    return [
      metadata.name,
      spec?.controller ?? '',
      kind === undefined ? '<none>' : `${kind}${place}/${name ?? ''}`,
      since(metadata.creationTimestamp, now),
    ]
  },
}

export const endpointsPrinter: Printer<Endpoints> = {
  columns: [NAME_COLUMN, textColumn('Endpoints', 'Addresses and ports.'), AGE_COLUMN],
  cells: ({ metadata, subsets }, now) => {
    const all = (subsets ?? []).flatMap(({ addresses = [], ports = [] }) =>
      ports.length === 0
        ? addresses.map(({ ip }) => ip)
        : ports.flatMap(({ port }) => addresses.map(({ ip }) => `${ip}:${port}`)),
    )
    const text = all.length === 0 ? '<none>' : shortened(all)
    return [metadata.name, text, since(metadata.creationTimestamp, now)]
  },
}
