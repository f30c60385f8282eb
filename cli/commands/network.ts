/** Commands about the network of a cluster's containers. */
import { readFile } from 'node:fs/promises'
import { parseIpv6Prefix, sleep } from '../../kit/index.ts'
import type { ApiClient, Resource } from '../api-client.ts'
import { cliErrors } from '../errors.ts'
import { formatTable, print, printJson, progress } from '../output.ts'
import { findCluster } from './membership.ts'

/** Labels by which people choose the addresses of a host. */
const PER_HOST_SUBNET = 'io.rancher.network.per_host_subnet.'

interface HostReport {
  readonly kind: string
  /** Null, or absent, where containers of the host get no IPv6 addresses. */
  readonly ipv6Prefix?: string | null
  readonly up: number
  readonly down: number
  readonly problems: readonly { readonly host: string; readonly reason: string }[]
  readonly failure: string | null
}

/** What `drover hosts` says of a host's network: `vxlan 2/2`, and why it is not all of them. */
export function describeNetwork(report: unknown): string {
  if (report === null || report === undefined) return '-'
  const { kind, ipv6Prefix = null, up, down, problems, failure } = report as HostReport
  const ways = `${kind} ${up}/${up + down}${ipv6Prefix === null ? '' : ` ${ipv6Prefix}`}`
  const first = problems[0]
  const why = failure ?? (first && `${first.host}: ${first.reason}`)
  return why === undefined ? ways : `${ways} (${why})`
}

async function networkOf(api: ApiClient, clusterName: string | undefined): Promise<Resource> {
  const cluster = await findCluster(api, clusterName)
  return await api.get('networks', String(cluster.defaultNetworkId))
}

/** `drover network ls`. */
export async function listNetworks(api: ApiClient, json: boolean): Promise<void> {
  const [networks, clusters] = await Promise.all([api.list('networks'), api.list('clusters')])
  if (json) {
    printJson(networks)
    return
  }
  const clusterNames = new Map(clusters.map(({ id, name }) => [id, name]))
  print(
    formatTable(
      ['NAME', 'ID', 'KIND', 'CLUSTER', 'SUBNETS', 'POLICY'],
      networks.map(network => [
        network.name,
        network.id,
        String(network.kind),
        clusterNames.get(String(network.clusterId)) ?? String(network.clusterId),
        subnetsOf(network).join(' '),
        String(network.defaultPolicyAction),
      ]),
    ),
  )
}

/** Of IPv4, and the prefix that makes IPv6 addresses of theirs. */
function subnetsOf({ subnets, options }: Resource): string[] {
  const { ipv6Prefix } = options as { ipv6Prefix?: string }
  const blocks = (subnets as { networkAddress: string }[]).map(({ networkAddress }) => networkAddress)
  return [...blocks, ...(ipv6Prefix === undefined ? [] : [ipv6Prefix])]
}

async function readOptions(text: string | undefined): Promise<unknown> {
  if (text === undefined) return {}
  const source = text.startsWith('@') ? await readFile(text.slice(1), 'utf8') : text
  try {
    return JSON.parse(source)
  } catch (cause) {
    throw cliErrors.Usage({
      object: '--options',
      expected: 'JSON, or @ and the name of a file with JSON',
      cause,
    })
  }
}

/** As hosts spell it; null where none was chosen. */
function prefixOf(options: unknown): string | null {
  const { ipv6Prefix = '' } = options as { ipv6Prefix?: string }
  return parseIpv6Prefix(ipv6Prefix)?.text ?? null
}

export interface SetNetworkOptions {
  readonly cluster?: string
  /** JSON, or `@file`. */
  readonly options?: string
  /** Seconds to wait for the hosts. */
  readonly timeout: number
}

/** `drover network set KIND`: returns when every connected host has changed over. */
export async function setNetwork(api: ApiClient, kind: string, options: SetNetworkOptions): Promise<void> {
  const network = await networkOf(api, options.cluster)
  const chosen = await readOptions(options.options)
  await api.update('networks', network.id, { kind, options: chosen })
  const prefix = prefixOf(chosen)
  const deadline = Date.now() + options.timeout * 1000
  for (;;) {
    const hosts = await api.list('hosts', { clusterId: String(network.clusterId) })
    const waiting = hosts.filter(host => {
      const report = host.network as HostReport | null
      if (report === null) return false
      const isAsChosen = report.kind === kind && (report.ipv6Prefix ?? null) === prefix
      return !isAsChosen || report.down > 0 || report.failure !== null
    })
    if (waiting.length === 0) break
    if (Date.now() > deadline) {
      throw cliErrors.NotReady({
        object: `network ${network.name}`,
        message: waiting.map(host => `${host.name}: ${describeNetwork(host.network)}`).join('; '),
        mend: 'it goes on by itself; see: drover hosts',
      })
    }
    progress(`waiting for ${waiting.map(({ name }) => name).join(', ')}`)
    await sleep(500)
  }
  print(`network ${network.name} is ${kind}`)
}

/** `drover network routes`: what routers upstream have to know of a routed network. */
export async function printRoutes(
  api: ApiClient,
  clusterName: string | undefined,
  json: boolean,
): Promise<void> {
  const network = await networkOf(api, clusterName)
  const hosts = await api.list('hosts', { clusterId: String(network.clusterId) })
  const routes = hosts.flatMap(host => {
    const labels = host.labels as Record<string, string>
    const subnet = labels[`${PER_HOST_SUBNET}subnet`]
    const gateway = labels[`${PER_HOST_SUBNET}override_agent_ip`] ?? String(host.agentIpAddress)
    const destinations = subnet === undefined ? (host.blocks as string[]) : [subnet]
    return destinations.map(destination => ({ destination, gateway, host: host.name }))
  })
  if (json) printJson(routes)
  else
    print(
      formatTable(
        ['DESTINATION', 'GATEWAY', 'HOST'],
        routes.map(({ destination, gateway, host }) => [destination, gateway, host]),
      ),
    )
}

/** `drover network rotate-key`. */
export async function rotateKey(api: ApiClient, clusterName: string | undefined): Promise<void> {
  const network = await networkOf(api, clusterName)
  await api.act('networks', network.id, 'rotatekey')
  print(`the hosts of network ${network.name} get another key`)
}
