/** Takes everything of the agent off this host again. */
import { rm, rmdir } from 'node:fs/promises'
import path from 'node:path'
import { type Logger, removeFileDurably, removeInterruptedWrites } from '../kit/index.ts'
import { removeBalancers } from './balancer-parts.ts'
import type { DockerEngine } from './docker/index.ts'
import { endHealthChecks } from './health-parts.ts'
import { cniRuntime, hostNetwork } from './host-parts.ts'
import { removeKubelet } from './kubelet/index.ts'
import { loadMembership } from './link/index.ts'
import { kubeletDirectory, presentRunner, removePodContainers } from './pod-runner.ts'
import { removePodFiles } from './runtime-parts.ts'
import { staticPodsDirectory } from './static-parts.ts'

export interface UninstallContext {
  readonly dataDirectory: string
  readonly engine: DockerEngine
  readonly log: Logger
}

/** What the data directory holds besides the lock. */
const CONTENTS = [
  'runner.json',
  'images.json',
  'cluster',
  'network',
  'cni',
  'cni.sock',
  'metadata',
  'membership.json',
  'host-key.json',
  'host-certificate.json',
  'agent-format.json',
]

/**
 * Ends and removes the pods' containers, the network, the firewall rules and the files. Containers that somebody started
 * by hand stay; those on the managed network lose it. Can be repeated when something stood in the way.
 */
export async function uninstall({ dataDirectory, engine, log }: UninstallContext): Promise<void> {
  const membership = await loadMembership(dataDirectory)
  const runner = await presentRunner(dataDirectory)
  const network = hostNetwork(dataDirectory, log, { runner })
  const cni = cniRuntime(dataDirectory, log, runner)
  if (runner === 'kubelet') await removeKubelet(kubeletDirectory(dataDirectory), log)
  await network.start()
  if (membership !== undefined) {
    const { hostId } = membership
    await removePodContainers(runner, { dataDirectory, engine, hostId, log })
  }
  for (const { containerId, interfaceName } of network.attachments())
    await cni.delete({ containerId, interfaceName })
  await endHealthChecks(dataDirectory, log)
  await removeBalancers(dataDirectory)
  await network.uninstall()
  await removePodFiles(dataDirectory)
  for (const name of CONTENTS) await rm(path.join(dataDirectory, name), { recursive: true, force: true })
  // Of an agent that was ended while it wrote.
  await removeInterruptedWrites(dataDirectory)
  await removeFileDurably(path.join(dataDirectory, 'agent.lock'))
  // Files of pods that somebody put there are theirs.
  await rmdir(staticPodsDirectory(dataDirectory)).catch(() => log.debug('the files of static pods stay'))
  await rmdir(dataDirectory).catch(() => log.debug('the data directory holds more than the agent put there'))
  log.info('everything of the agent is removed from this host')
}
