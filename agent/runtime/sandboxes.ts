/** Makes and ends the containers that hold the namespaces of pods. */
import type { Pod } from '../../protocol/kubernetes/index.ts'
import type { ContainerInventory, DockerEngine } from '../docker/index.ts'
import { type PodPlace, sandboxOptions } from './container-options.ts'
import { runtimeErrors } from './errors.ts'
import { hostPortsOf } from './host-ports.ts'
import { wishesOfPod } from './network-wishes.ts'
import type { PodNetwork } from './pod-network.ts'

export class Sandboxes {
  readonly #engine: DockerEngine
  readonly #inventory: ContainerInventory
  readonly #network: PodNetwork

  constructor(engine: DockerEngine, inventory: ContainerInventory, network: PodNetwork) {
    this.#engine = engine
    this.#inventory = inventory
    this.#network = network
  }

  /** Whether a running sandbox of the pod has the network it needs. */
  attached(pod: Pod, sandboxId: string): boolean {
    return pod.spec.hostNetwork === true || this.#network.attachment(sandboxId) !== undefined
  }

  /** The address of the pod in that sandbox. */
  address(pod: Pod, sandboxId: string, hostIp: string): string | undefined {
    return pod.spec.hostNetwork === true ? hostIp : this.#network.attachment(sandboxId)?.ip
  }

  /** All of its addresses, IPv4 first; empty while it has none. */
  addresses(pod: Pod, sandboxId: string, hostIp: string): string[] {
    if (pod.spec.hostNetwork === true) return [hostIp]
    const { ip, ip6 } = this.#network.attachment(sandboxId) ?? {}
    return [ip, ip6].filter(address => address !== undefined)
  }

  macAddress(sandboxId: string): string | undefined {
    return this.#network.attachment(sandboxId)?.macAddress
  }

  /**
   * Makes a sandbox with its network.
   *
   * @throws what Docker or the network refused; nothing is left of the sandbox then
   */
  async make(place: PodPlace, attempt: number): Promise<string> {
    const id = await this.#engine.create(sandboxOptions(place, attempt))
    try {
      await this.#engine.start(id)
      if (place.pod.spec.hostNetwork !== true) await this.#attach(place.pod, id)
      await this.#inventory.refresh(id)
      return id
    } catch (error) {
      await this.remove(id)
      throw error
    }
  }

  /** Removes a sandbox and frees what it had on the network. */
  async remove(id: string): Promise<void> {
    const onHostNetwork = this.#inventory.get(id)?.networkMode === 'host'
    // In this order the kernel has taken its link away already, and its address is given to nobody while it is in use.
    await this.#engine.remove(id)
    if (!onHostNetwork) await this.#network.detach(id)
    await this.#inventory.refresh(id)
  }

  async #attach(pod: Pod, id: string): Promise<void> {
    const details = await this.#inventory.refresh(id)
    if (details === undefined || details.pid === 0) {
      throw runtimeErrors.SandboxFailed({
        object: `pod ${pod.metadata.name}`,
        message: 'its sandbox ended at once',
      })
    }
    await this.#network.attach({
      containerId: id,
      networkNamespace: `/proc/${details.pid}/ns/net`,
      ...wishesOfPod(pod, id),
      ports: hostPortsOf(pod).map(({ hostPort, containerPort, protocol, hostIP }) => ({
        hostPort,
        containerPort,
        protocol: protocol === 'UDP' ? ('udp' as const) : ('tcp' as const),
        hostAddress: hostIP,
      })),
    })
  }
}
