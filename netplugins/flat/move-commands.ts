/** The commands, for `ip -batch`, that give the configuration of one link to another. */
import type { InterfaceAddress, InterfaceConfiguration } from './interface-configuration.ts'

/** What `ip -4` and `ip -6` are to do, in this order. */
export interface MoveCommands {
  readonly inet: readonly string[]
  readonly inet6: readonly string[]
}

const FOREVER = 4_294_967_295

function addCommand(entry: InterfaceAddress, link: string): string {
  const { family, local, prefixlen, broadcast, address, label, metric } = entry
  const { noprefixroute, valid_life_time: valid, preferred_life_time: preferred } = entry
  // A label begins with its link's name.
  const suffix = label?.includes(':') === true ? label.slice(label.indexOf(':')) : undefined
  return [
    `address add ${local}`,
    address === undefined ? `/${prefixlen}` : ` peer ${address}/${prefixlen}`,
    broadcast === undefined ? '' : ` broadcast ${broadcast}`,
    ` dev ${link}`,
    suffix === undefined ? '' : ` label ${link}${suffix}`,
    metric === undefined ? '' : ` metric ${metric}`,
    valid === undefined || valid >= FOREVER ? '' : ` valid_lft ${valid} preferred_lft ${preferred ?? valid}`,
    // It was checked where it is now.
    family === 'inet6' ? ' nodad' : '',
    noprefixroute === true ? ' noprefixroute' : '',
  ].join('')
}

/** Addresses first, so that the host has them at every moment; then routes take the place of those by the other link. */
function giveTo(link: string, from: string, configuration: InterfaceConfiguration): MoveCommands {
  const { addresses, routes4, routes6 } = configuration
  const flush = `address flush dev ${from} scope global`
  const of = (family: InterfaceAddress['family'], routes: readonly string[]) => [
    ...addresses.filter(entry => entry.family === family).map(entry => addCommand(entry, link)),
    ...routes.map(route => `route replace ${route} dev ${link}`),
  ]
  const inet6 = of('inet6', routes6)
  return {
    inet: [...of('inet', routes4), flush],
    // On a host without IPv6 there is nothing to flush, and no such command.
    inet6: inet6.length === 0 ? [] : [...inet6, flush],
  }
}

/** Makes the bridge, with the interface's MAC address, and moves everything of the interface to it. */
export function takeOverCommands(
  configuration: InterfaceConfiguration,
  names: { readonly interface: string; readonly bridge: string },
): MoveCommands {
  const { mac, mtu } = configuration
  const { bridge } = names
  const moved = giveTo(bridge, names.interface, configuration)
  return {
    inet: [
      `link add ${bridge} address ${mac} mtu ${mtu} type bridge stp_state 0 forward_delay 0`,
      `link set ${bridge} up`,
      `link set ${names.interface} master ${bridge}`,
      ...moved.inet,
    ],
    inet6: moved.inet6,
  }
}

/** The way back. */
export function giveBackCommands(
  configuration: InterfaceConfiguration,
  names: { readonly interface: string; readonly bridge: string },
): MoveCommands {
  const { bridge } = names
  const moved = giveTo(names.interface, bridge, configuration)
  return {
    inet: [`link set ${names.interface} nomaster up`, ...moved.inet],
    inet6: [...moved.inet6, `link delete ${bridge}`],
  }
}

/** Moves what appeared on the interface since, for instance by a DHCP client of the host. */
export function followCommands(
  configuration: InterfaceConfiguration,
  names: { readonly interface: string; readonly bridge: string },
): MoveCommands {
  const replace = ({ inet, inet6 }: MoveCommands): MoveCommands => ({
    inet: inet.map(command => command.replace('address add', 'address replace')),
    inet6: inet6.map(command => command.replace('address add', 'address replace')),
  })
  return replace(giveTo(names.bridge, names.interface, configuration))
}
