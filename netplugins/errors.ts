import { defineErrors } from '../kit/index.ts'

/** What can go wrong when a container gets, has or loses its network. */
export const networkErrors = defineErrors({
  // The kernel
  KernelRefused: { status: 500, message: 'the kernel refused the request' },
  KernelSilent: { status: 504, message: 'the kernel did not answer' },
  NamespaceMissing: { status: 404, message: 'does not exist', mend: 'check that the container is running' },
  NamespaceRefused: { status: 500, message: 'cannot be entered' },
  RulesRefused: { status: 500, message: 'iptables refused the rules' },
  GuardRefused: { status: 500, message: 'nftables refused the rules' },
  ServicesRefused: { status: 500, message: 'nftables refused the rules of services' },
  BalancerRefused: { status: 500, message: 'the rules of a balancer were refused' },
  InvalidPolicy: { status: 422, message: 'is not a valid network policy' },
  PolicyUnenforced: {
    status: 409,
    message: 'are not enforced: packets of its containers do not pass the host',
    mend: 'choose the mode bridge, or remove the policies',
  },
  BridgeUnfiltered: {
    status: 500,
    message: 'packets between containers of this host pass no firewall rules',
    mend: 'load the kernel module br_netfilter',
  },
  Ipv6Unavailable: {
    status: 503,
    message: 'cannot be given to containers of this host: they have IPv4 alone',
  },
  SetRefused: { status: 500, message: 'ipset refused the change' },
  SetInUse: {
    status: 409,
    message: 'is used by firewall rules',
    mend: 'remove the rules first',
  },

  // Between hosts
  PartlyConnected: { status: 500, message: 'is not connected to every host' },
  CloudRefused: { status: 502, message: 'the cloud refused it' },
  InterfaceMissing: {
    status: 404,
    message: 'does not exist on this host',
    mend: 'name another one, for this host by the label io.rancher.network.l2flat.interface',
  },
  GatewaySilent: {
    status: 503,
    message: 'does not answer',
    mend: 'check the gateway, and that the network lets through several MAC addresses on one port',
  },

  // Addresses and ports
  BlockExhausted: {
    status: 503,
    message: 'every address of this host is in use',
    mend: 'try again: the host asks for another address block',
  },
  AddressInUse: {
    status: 409,
    message: 'is the address of another container',
    mend: 'ask for another address',
  },
  AddressNotAvailable: { status: 422, message: 'is not an address that this host hands out' },
  PortInUse: {
    status: 409,
    message: 'is used by another process of this host',
    mend: 'publish another port',
  },
  BindAddressMissing: {
    status: 422,
    message: 'is not an address of this host',
    mend: 'publish on an address of this host, or on none to mean all',
  },

  // IPsec
  StrongSwanMissing: {
    status: 500,
    message: 'strongSwan is not installed',
    mend: 'install strongswan-charon, libstrongswan-standard-plugins and libcharon-extra-plugins',
  },
  CharonFailed: { status: 500, message: 'the IKE daemon does not run' },
  CharonRefused: { status: 500, message: 'the IKE daemon refused the request' },
  MalformedVici: { status: 502, message: 'is not what the IKE daemon and we agreed to say' },
  HostKeysMissing: {
    status: 503,
    message: 'has no keys to prove itself with',
    mend: 'wait until the server has told them; it does so when the host has joined a cluster',
  },

  // The Container Network Interface
  IncompatibleCniVersion: { status: 422, message: 'has a CNI version that is not spoken here' },
  UnsupportedCniField: { status: 422, message: 'asks for something that is not supported' },
  UnknownContainer: { status: 404, message: 'has no such network interface' },
  InvalidCniEnvironment: { status: 422, message: 'is not a valid CNI parameter' },
  InvalidCniConfiguration: { status: 422, message: 'is not a valid network configuration' },
  TryAgainLater: { status: 503, message: 'cannot be done now', mend: 'try again later' },
  NetworkNotReady: {
    status: 503,
    message: 'is not ready for containers',
    mend: "wait until the agent has built it, or read the agent's log",
  },
  LimitedConnectivity: { status: 503, message: 'is not ready, and its containers may be unreachable' },
  AlreadyAttached: {
    status: 409,
    message: 'has this network interface already',
    mend: 'delete it before adding it again',
  },
  AttachmentBroken: { status: 500, message: 'is not as it was made', mend: 'recreate the container' },
  PluginFailed: { status: 502, message: 'a CNI plugin failed' },
  PluginMissing: { status: 500, message: 'is not installed' },
  PluginCompilerMissing: {
    status: 500,
    message: 'the compiler of the CNI plugin is not installed',
    mend: 'run npm ci without --omit=optional',
  },
})
