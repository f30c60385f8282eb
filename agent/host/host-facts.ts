/** Reads from the kernel what this host is. */
import { readFile, statfs } from 'node:fs/promises'
import { availableParallelism, freemem, hostname, loadavg, networkInterfaces, totalmem } from 'node:os'
import type { HostFacts } from '../../protocol/index.ts'
import type { EngineFacts } from '../docker/index.ts'

/** Raised with every release. */
const AGENT_VERSION = '0.1.0'

async function readLine(file: string): Promise<string> {
  return (await readFile(file, 'utf8').catch(() => '')).trim()
}

/** A machine's identity: systemd's when there is one, else the hardware's, else the boot's. */
async function machineId(bootId: string): Promise<string> {
  const candidates = ['/etc/machine-id', '/var/lib/dbus/machine-id', '/sys/class/dmi/id/product_uuid']
  for (const file of candidates) {
    const id = await readLine(file)
    if (id !== '') return id
  }
  return bootId
}

export interface MachineFacts {
  readonly hostname: string
  readonly bootId: string
  readonly machineId: string
  readonly milliCpu: number
  /** Bytes. */
  readonly memory: number
  /** Bytes that the file system of Docker's data has in all. */
  readonly storage: number
  readonly engine: EngineFacts
}

export async function readMachineFacts(engine: EngineFacts): Promise<MachineFacts> {
  const bootId = await readLine('/proc/sys/kernel/random/boot_id')
  const space = await statfs(engine.rootDirectory).catch(() => undefined)
  return {
    hostname: hostname().toLowerCase(),
    bootId,
    machineId: await machineId(bootId),
    milliCpu: availableParallelism() * 1000,
    memory: totalmem(),
    storage: space === undefined ? 0 : space.blocks * space.bsize,
    engine,
  }
}

/** What the host says about itself when it connects. */
export function hostFacts(machine: MachineFacts, address: string): HostFacts {
  return {
    hostname: machine.hostname,
    address,
    labels: {
      'io.rancher.host.docker_version': machine.engine.version,
      'io.rancher.host.linux_kernel_version': machine.engine.kernelVersion,
    },
    memory: machine.memory,
    milliCpu: machine.milliCpu,
    localStorageMb: Math.floor(machine.storage / 2 ** 20),
    kernelVersion: machine.engine.kernelVersion,
    operatingSystem: machine.engine.operatingSystem,
    dockerVersion: machine.engine.version,
    agentVersion: AGENT_VERSION,
    bootId: machine.bootId,
  }
}

/** One-minute load average, and free memory in bytes. */
export function currentLoad(): { load: number; memoryFree: number } {
  return { load: loadavg()[0] ?? 0, memoryFree: freemem() }
}

/** Links that are never how other hosts reach this one. */
const INTERNAL_LINK = /^(lo|docker\d*|br-|drover|veth|cni|flannel|vtep)/

/**
 * The address by which other hosts reach this one: of the addresses of real links the one in the network of
 * `serverAddress`, else the first.
 */
export function ownAddress(localAddressTowardsServer: string | undefined): string | undefined {
  if (localAddressTowardsServer !== undefined && !localAddressTowardsServer.startsWith('127.')) {
    return localAddressTowardsServer
  }
  for (const [link, addresses] of Object.entries(networkInterfaces())) {
    if (INTERNAL_LINK.test(link)) continue
    const address = addresses?.find(entry => entry.family === 'IPv4' && !entry.internal)
    if (address !== undefined) return address.address
  }
  return undefined
}
