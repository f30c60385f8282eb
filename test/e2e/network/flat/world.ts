/** A host (this namespace) whose interface eth0 leads to a router with other networks behind it. */
import { execFileSync } from 'node:child_process'
import { createLogger } from '../../../../kit/index.ts'
import { addNamespace, deleteNamespace, run, runIn } from '../lab.ts'

export const HOST = '192.0.2.1'
export const ROUTER = '192.0.2.254'
/** An address behind the router. */
export const FAR = '198.51.100.9'

export const log = createLogger('flat', 'silent')

function batch(namespace: string | undefined, commands: readonly string[]): void {
  const program = ['ip', '-batch', '-']
  const [command = '', ...args] =
    namespace === undefined ? program : ['nsenter', `--net=/run/netns/${namespace}`, ...program]
  execFileSync(command, args, { input: commands.join('\n') })
}

/** Makes the router, and eth0 with two addresses of each family and routes of several kinds. */
export function connectHost(): void {
  addNamespace('router')
  batch('router', [
    'link add lan type bridge',
    'link set lan up',
    `address add ${ROUTER}/24 dev lan`,
    'address add 2001:db8::254/64 dev lan nodad',
    `address add ${FAR}/32 dev lo`,
    'link add port type veth peer name eth0 netns 1',
    'link set port master lan up',
  ])
  runIn('router', 'sysctl', '-qw', 'net.ipv4.ip_forward=1')
  configureHost()
}

export function configureHost(): void {
  batch(undefined, [
    'link set eth0 up mtu 1400',
    `address add ${HOST}/24 broadcast 192.0.2.255 dev eth0`,
    'address add 192.0.2.2/24 broadcast 192.0.2.255 dev eth0 label eth0:1',
    'address add 203.0.113.7/28 dev eth0 metric 50',
    'address add 2001:db8::1/64 dev eth0 nodad',
    `route add default via ${ROUTER} dev eth0 proto dhcp src ${HOST} metric 100`,
    `route add 198.51.100.0/24 via ${ROUTER} dev eth0`,
    `route add 198.51.100.0/24 via ${ROUTER} dev eth0 metric 7`,
    'route add 203.0.113.128/25 via 203.0.113.1 dev eth0 src 203.0.113.7 mtu 1300',
    `route add default via ${ROUTER} dev eth0 table 77`,
    'route add default via 2001:db8::254 dev eth0 metric 1024',
  ])
}

export function disconnectHost(): void {
  run('ip', 'link', 'delete', 'eth0')
  deleteNamespace('router')
}

/** Everything of the host that a takeover touches. */
export function hostConfiguration(): Record<string, unknown> {
  const lines = (...args: string[]) =>
    run('ip', ...args)
      .split('\n')
      // Not whether there is a carrier just now.
      .map(line => line.trim().replaceAll(/ linkdown|[A-Z_,-]*CARRIER,|,LOWER_UP| state \S+/g, ''))
  const links = JSON.parse(run('ip', '-json', 'link', 'show')) as {
    ifname: string
    address: string
    mtu: number
  }[]
  return {
    links: links.map(({ ifname, address, mtu }) => ({ ifname, address, mtu })),
    addresses: lines('address', 'show', 'scope', 'global'),
    routes4: lines('-4', 'route', 'show', 'table', 'all').toSorted(),
    routes6: lines('-6', 'route', 'show', 'table', 'all')
      .filter(line => !/fe80|ff00|multicast/.test(line))
      .toSorted(),
  }
}
