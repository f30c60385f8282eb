/** Where the agent keeps and finds things on its host. */
import path from 'node:path'
import type { Logger } from '../kit/index.ts'
import { CniRuntime } from '../netplugins/cni/index.ts'
import { NetworkDriver } from '../netplugins/driver/index.ts'
import { FLAT_BRIDGE } from '../netplugins/flat/index.ts'
import { type Credentials, type HostCertificate, IpsecOverlay } from '../netplugins/ipsec/index.ts'
import type { Overlay } from '../netplugins/overlay/index.ts'
import { createRoutedOverlay } from '../netplugins/routed/index.ts'
import { VxlanOverlay } from '../netplugins/vxlan/index.ts'
import type { HostCredentials } from '../protocol/index.ts'
import { type HostKeys, HostNetwork, type OverlayContext, type OverlayKind } from './network/index.ts'

/** Where on the metadata address the servers listen; ports 80 and 53 of it are led here. */
export const METADATA_HTTP_PORT = 9346
export const METADATA_DNS_PORT = 9353

/** Where on 127.0.0.1 metrics are served. */
export const METRICS_PORT = 9347

const BRIDGE = 'drover0'

/** Whether a link is a bridge that containers of this host are connected to: one of ours, or of Docker's. */
export function isContainerBridge(link: string): boolean {
  return link === BRIDGE || link === FLAT_BRIDGE || link === 'docker0' || /^br-[0-9a-f]{12}$/.test(link)
}

/** The CNI plugin, as it is built from this source tree. */
export const PLUGIN_FILE = path.resolve(import.meta.dirname, '../build/cni/drover')

/** What runs the pods of a host: the agent itself, on Docker, or a real kubelet. */
export type PodRunner = 'builtin' | 'kubelet'

/** Runtimes of kubelets call it for a container's own interface `lo`, from the same directory as the network's plugins. */
const LOOPBACK_PLUGIN = 'loopback'

/** Where container runtimes look for networks: the agent itself, or those that kubelets use. */
export function cniDirectories(
  dataDirectory: string,
  runner: PodRunner,
): { configurationDirectory: string; binaryDirectory: string } {
  if (runner === 'kubelet')
    return { configurationDirectory: '/etc/cni/net.d', binaryDirectory: '/opt/cni/bin' }
  return {
    configurationDirectory: path.join(dataDirectory, 'cni/net.d'),
    binaryDirectory: path.join(dataDirectory, 'cni/bin'),
  }
}

function sharedKeys(keys: HostKeys | undefined): Credentials | undefined {
  return keys && { kind: 'psk', ...keys }
}

/** In certificates of hosts, their uuid is the subject: addresses and names change hands. */
function subjectOf(hostUuid: string): string {
  return `CN=${hostUuid}`
}

/**
 * How this host proves by its certificate who it is, and tells others.
 *
 * @param uuids of the other hosts, by their ids
 */
export function certificateProof(
  credentials: HostCredentials | undefined,
  hostUuid: string,
  uuids: ReadonlyMap<string, string>,
): HostCertificate | undefined {
  if (credentials === undefined) return undefined
  return {
    kind: 'certificate',
    ...credentials,
    identity: subjectOf(hostUuid),
    // Of nobody, when it is not known: never of anybody who has a certificate.
    identityOf: ({ hostId }) => subjectOf(uuids.get(hostId) ?? `unknown host ${hostId}`),
  }
}

/** Asked whenever a host is to prove itself; undefined while it has no certificate. */
type CertificateSource = () => HostCertificate | undefined

function createOverlay(kind: OverlayKind, context: OverlayContext, certificate: CertificateSource): Overlay {
  const { socket, log } = context
  switch (kind) {
    case 'vxlan':
      return new VxlanOverlay({ socket, log })
    case 'routed':
      return createRoutedOverlay({
        routed: context.options.routed,
        directory: context.directory,
        socket,
        log,
      })
    case 'ipsec':
      return new IpsecOverlay({
        directory: context.directory,
        socket,
        credentials:
          context.options.ipsec?.authentication === 'certificate'
            ? certificate
            : () => sharedKeys(context.hostKeys()),
        changed: context.changed,
        log,
      })
  }
}

export interface HostNetworkParts {
  readonly runner: PodRunner
  /** Absent where nothing is built any more. */
  readonly certificate?: CertificateSource
  /** Whether rules were changed by a process of another part of the agent. */
  readonly isOwnProcess?: (processId: number) => boolean
}

export function hostNetwork(
  dataDirectory: string,
  log: Logger,
  { runner, certificate = () => undefined, isOwnProcess = () => false }: HostNetworkParts,
): HostNetwork {
  return new HostNetwork({
    dataDirectory,
    bridgeName: BRIDGE,
    cniSocket: path.join(dataDirectory, 'cni.sock'),
    ...cniDirectories(dataDirectory, runner),
    pluginFile: PLUGIN_FILE,
    companionPlugins: runner === 'kubelet' ? [LOOPBACK_PLUGIN] : [],
    isOwnProcess,
    createOverlay: (kind, context) => createOverlay(kind, context, certificate),
    log,
  })
}

export function cniRuntime(dataDirectory: string, log: Logger, runner: PodRunner): CniRuntime {
  return new CniRuntime({
    ...cniDirectories(dataDirectory, runner),
    cacheDirectory: path.join(dataDirectory, 'cni/cache'),
    log,
  })
}

/** Takes the network off the directories where the runtime of a kubelet looked for it, and puts back what was there. */
export async function removeNetworkOfKubelet(dataDirectory: string): Promise<void> {
  await new NetworkDriver({
    ...cniDirectories(dataDirectory, 'kubelet'),
    pluginFile: PLUGIN_FILE,
    socket: path.join(dataDirectory, 'cni.sock'),
    networkName: '',
    hostLabels: () => ({}),
  }).uninstall()
}
