/**
 * Balances UDP in the network namespace of a container, by the kernel: HAProxy balances none.
 *
 * The rules last as long as the namespace, also while nobody tells them anything.
 */
import { isDroverError, kitErrors, runCommand, Type, validatorOf } from '../../kit/index.ts'
import { forgetUdpFlows } from '../conntrack/index.ts'
import { networkErrors } from '../errors.ts'
import { listAddresses, listLinks, withRouteSocket } from '../netlink/index.ts'
import { COUNTED, counterName, UDP_BALANCER_TABLE, type UdpBalancerPort, udpBalancerRules } from './rules.ts'

export type { UdpBackend, UdpBalancerPort } from './rules.ts'

/** As a shell's: there is no such program. */
const NO_PROGRAM = 127

/** Milliseconds for one command. */
const DEADLINE = 10_000

/** Packets are passed on. A router tells senders of shorter ways; here they would go past the balancer. */
function settingsFor(interfaces: readonly string[]): string[] {
  const redirects = ['all', ...interfaces].map(name => `net/ipv4/conf/${name}/send_redirects=0`)
  return ['net/ipv4/ip_forward=1', ...redirects]
}

/** What passed a port since its rules were made: flows, and bytes of packets to and from backends. */
export interface Measured {
  readonly port: number
  readonly flows: number
  readonly bytesIn: number
  readonly bytesOut: number
}

const counterListing = validatorOf(
  Type.Object({
    nftables: Type.Array(
      Type.Object({
        counter: Type.Optional(
          Type.Object({ name: Type.String(), packets: Type.Integer(), bytes: Type.Integer() }),
        ),
      }),
    ),
  }),
)

async function inside(
  namespace: string,
  action: string,
  command: readonly string[],
  input = '',
): Promise<string> {
  const { exitCode, stdout, stderr } = await runCommand('nsenter', [`--net=${namespace}`, '--', ...command], {
    ...{ input, deadline: DEADLINE },
    acceptedExitCodes: [0, 1, NO_PROGRAM, 255],
  })
  if (exitCode === 0) return stdout
  if (exitCode === NO_PROGRAM) throw kitErrors.CommandMissing({ object: command[0] ?? '' })
  throw networkErrors.BalancerRefused({
    object: `UDP ports of the balancer in ${namespace}`,
    message: `cannot be ${action}: ${stderr.trim().slice(0, 400)}`,
  })
}

async function partsOf(namespace: string): Promise<{ interfaces: string[]; addresses: Set<string> }> {
  return await withRouteSocket(namespace, async socket => ({
    interfaces: (await listLinks(socket)).map(({ name }) => name),
    addresses: new Set((await listAddresses(socket)).map(({ address }) => address)),
  }))
}

/**
 * Balances exactly these ports, and makes the kernel forget the flows to who does not answer there any more.
 *
 * @param namespace its file; not the host's own
 * @param previous which ports were balanced before; undefined when that is not known
 * @throws `BalancerRefused`, `KernelRefused`, `KernelSilent`, `CommandMissing`, `DeadlineExceeded`
 */
export async function serveUdpPorts(
  namespace: string,
  ports: readonly UdpBalancerPort[],
  previous?: readonly number[],
): Promise<void> {
  const { interfaces, addresses } = await partsOf(namespace)
  await inside(namespace, 'opened', ['sysctl', '--quiet', '--write', ...settingsFor(interfaces)])
  const numbers = ports.map(({ port }) => port)
  const same = previous !== undefined && numbers.join() === previous.join()
  await inside(namespace, 'served', ['nft', '-f', '-'], udpBalancerRules(ports, same))
  for (const port of new Set([...numbers, ...(previous ?? [])])) {
    const backends = ports.find(each => each.port === port)?.backends ?? []
    const keep = new Set(backends.map(({ address, port }) => `${address}:${port}`))
    await forgetUdpFlows(
      port,
      ({ original, reply }) =>
        addresses.has(original.destination) &&
        !addresses.has(original.source) &&
        !keep.has(`${reply.source}:${reply.sourcePort}`),
      namespace,
    )
  }
}

/** Balances nothing any more. @throws as `serveUdpPorts` */
export async function removeUdpBalancer(namespace: string): Promise<void> {
  const table = `table ip ${UDP_BALANCER_TABLE}`
  try {
    // Made first where it is missing: then removing it cannot fail.
    await inside(namespace, 'closed', ['nft', '-f', '-'], `${table}\ndelete ${table}\n`)
  } catch (error) {
    // Without the program there never was one.
    if (!isDroverError(error, 'CommandMissing')) throw error
  }
}

/** @throws as `serveUdpPorts` */
export async function measureUdpPorts(namespace: string, ports: readonly number[]): Promise<Measured[]> {
  const listing = await inside(namespace, 'measured', [
    'nft',
    '--json',
    'list',
    'counters',
    'table',
    'ip',
    UDP_BALANCER_TABLE,
  ])
  const { nftables } = counterListing.parse(JSON.parse(listing), 'list of nftables counters')
  const counters = new Map(nftables.flatMap(({ counter }) => (counter ? [[counter.name, counter]] : [])))
  return ports.map(port => {
    const [flows, bytesIn, bytesOut] = COUNTED.map(what => counters.get(counterName(what, port)))
    return {
      port,
      flows: flows?.packets ?? 0,
      bytesIn: bytesIn?.bytes ?? 0,
      bytesOut: bytesOut?.bytes ?? 0,
    }
  })
}
