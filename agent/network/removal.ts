/** Takes everything of ours out of the host's kernel, whether or not it was this process that put it there. */
import type { Logger } from '../../kit/index.ts'
import { BridgeNetwork } from '../../netplugins/bridge/index.ts'
import { IptablesReconciler } from '../../netplugins/iptables/index.ts'
import { withRouteSocket } from '../../netplugins/netlink/index.ts'
import { removeServiceTable } from '../../netplugins/service-proxy/index.ts'
import { removeSourceGuard } from '../../netplugins/source-guard/index.ts'
import { removeMetadataAddress } from './metadata-address.ts'
import { removePolicySets } from './policy-keeper.ts'

/** Rules and the metadata address: all there is of an imported cluster's. @throws like `removeFromKernel` */
export async function removeOurRules(metadataAddress: string, log: Logger): Promise<void> {
  await new IptablesReconciler(log).remove()
  await withRouteSocket(undefined, socket => removeMetadataAddress(socket, metadataAddress))
}

export interface Removal {
  readonly bridgeName: string
  readonly metadataAddress: string
  readonly log: Logger
}

/** @throws `KernelRefused`, `RulesRefused`, `GuardRefused`, `DeadlineExceeded` */
export async function removeFromKernel({ bridgeName, metadataAddress, log }: Removal): Promise<void> {
  await new IptablesReconciler(log).remove()
  await removePolicySets(log)
  await removeServiceTable()
  await withRouteSocket(undefined, async socket => {
    const bridge = new BridgeNetwork(bridgeName, socket)
    const links = await bridge.hostInterfaces()
    await Promise.all(links.keys().map(link => bridge.removeHostInterface(link)))
    await bridge.remove()
    await removeMetadataAddress(socket, metadataAddress)
  })
  // After the links: until then their containers are kept to their addresses.
  await removeSourceGuard(log)
}
