/** A host network under test, and a container runtime that uses it as the kubelet would. */
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { HostNetwork, type NetworkSettings } from '../../../agent/network/index.ts'
import { createLogger } from '../../../kit/index.ts'
import { buildPlugin, CniRuntime } from '../../../netplugins/cni/index.ts'
import { VxlanOverlay } from '../../../netplugins/vxlan/index.ts'

export const BRIDGE = 'drover0'
export const METADATA = '169.254.169.250'
export const GATEWAY = '10.42.0.1'

export const SETTINGS: NetworkSettings = {
  clusterBlock: '10.42.0.0/16',
  blocks: ['10.42.0.64/26'],
  metadata: { address: METADATA, httpPort: 9346, dnsPort: 9353 },
}

/** Built once for all tests of a checkout. */
const PLUGIN_FILE = path.resolve(import.meta.dirname, '../../../build/cni/drover')

export interface HostDirectories {
  readonly dataDirectory: string
  readonly cniSocket: string
  readonly configurationDirectory: string
  readonly binaryDirectory: string
  readonly pluginFile: string
  readonly cacheDirectory: string
}

/** Makes directories for one host, and the plugin if its sources changed. */
export async function makeHostDirectories(): Promise<HostDirectories> {
  await buildPlugin(PLUGIN_FILE)
  const base = mkdtempSync(path.join(tmpdir(), 'drover-network-'))
  return {
    dataDirectory: path.join(base, 'data'),
    cniSocket: path.join(base, 'cni.sock'),
    configurationDirectory: path.join(base, 'net.d'),
    binaryDirectory: path.join(base, 'bin'),
    pluginFile: PLUGIN_FILE,
    cacheDirectory: path.join(base, 'cache'),
  }
}

const level = process.env.TEST_LOG === undefined ? 'silent' : 'debug'

export function makeHostNetwork(directories: HostDirectories): HostNetwork {
  const { cacheDirectory: _, ...options } = directories
  return new HostNetwork({
    ...options,
    bridgeName: BRIDGE,
    createOverlay: (_kind, { socket, log }) => new VxlanOverlay({ socket, log }),
    log: createLogger('network', level),
  })
}

export function makeRuntime(directories: HostDirectories): CniRuntime {
  return new CniRuntime({ ...directories, log: createLogger('runtime', level) })
}
