/** The variables by which containers find the services of their namespace, as Docker's links had them. Pure. */
import type { Pod } from '../../protocol/kubernetes/index.ts'

export interface NamedService {
  readonly namespace: string
  readonly name: string
  /** Empty for services without one. */
  readonly addresses: readonly string[]
  readonly ports: readonly {
    readonly name: string
    readonly protocol: 'tcp' | 'udp'
    readonly port: number
  }[]
}

/** The service of the Kubernetes API, which every pod is told of. */
const API_NAMESPACE = 'default'
const API_NAME = 'kubernetes'

function variablesOf({ name, addresses, ports }: NamedService): [string, string][] {
  const [address] = addresses
  const [first] = ports
  if (address === undefined || address === '' || first === undefined) return []
  const prefix = name.toUpperCase().replaceAll(/[^A-Z0-9]/g, '_')
  const host = address.includes(':') ? `[${address}]` : address
  return [
    [`${prefix}_SERVICE_HOST`, address],
    [`${prefix}_SERVICE_PORT`, String(first.port)],
    ...ports
      .filter(port => port.name !== '')
      .map((port): [string, string] => [
        `${prefix}_SERVICE_PORT_${port.name.toUpperCase().replaceAll(/[^A-Z0-9]/g, '_')}`,
        String(port.port),
      ]),
    [`${prefix}_PORT`, `${first.protocol}://${host}:${first.port}`],
    ...ports.flatMap(({ protocol, port }): [string, string][] => {
      const each = `${prefix}_PORT_${port}_${protocol.toUpperCase()}`
      return [
        [each, `${protocol}://${host}:${port}`],
        [`${each}_PROTO`, protocol],
        [`${each}_PORT`, String(port)],
        [`${each}_ADDR`, address],
      ]
    }),
  ]
}

/** @param services of the whole cluster */
export function serviceEnvironment(pod: Pod, services: Iterable<NamedService>): ReadonlyMap<string, string> {
  const links = pod.spec.enableServiceLinks !== false
  const found = [...services].filter(
    ({ namespace, name }) =>
      (namespace === API_NAMESPACE && name === API_NAME) || (links && namespace === pod.metadata.namespace),
  )
  return new Map(found.toSorted((a, b) => (a.name < b.name ? -1 : 1)).flatMap(variablesOf))
}
