/** Registers hosts and keeps what they say about themselves. */
import { createHash } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import { KeyedLock } from '../../kit/index.ts'
import type { HostFacts, RegistrationAnswer, RegistrationRequest } from '../../protocol/index.ts'
import { createCredentials, hashSecret } from '../auth/index.ts'
import type { Host, Model } from '../model/index.ts'
import { controllerErrors } from './errors.ts'

/** A Kubernetes node name (DNS-1123 subdomain) made from a hostname. */
export function nodeNameOf(hostname: string): string {
  const name = hostname
    .toLowerCase()
    .replace(/[^a-z0-9.-]+/g, '-')
    .replace(/^[^a-z0-9]+|[^a-z0-9]+$/g, '')
    .slice(0, 200)
  return name === '' ? 'host' : name
}

export class HostRegistry {
  readonly #model: Model
  readonly #lock = new KeyedLock('registrations of cluster', 10_000)

  constructor(model: Model) {
    this.#model = model
  }

  /**
   * Makes the host of `request.key` a member of the cluster. The same key is the same host; it gets new credentials and
   * loses the old ones.
   *
   * @throws `BeingRemoved` for a cluster, or a host, that would take the new credentials along when it goes
   */
  async register(request: RegistrationRequest, clusterId: string): Promise<RegistrationAnswer> {
    return await this.#lock.run(clusterId, async () => {
      const keyHash = createHash('sha256').update(`${clusterId}\n${request.key}`).digest('hex')
      const present = this.#model.hosts.find('keyHash', keyHash)
      const cluster = this.#model.clusters.get(clusterId)
      if (cluster === undefined || cluster.state === 'removing')
        throw controllerErrors.BeingRemoved({ object: `cluster ${clusterId}` })
      if (present?.state === 'removing')
        throw controllerErrors.BeingRemoved({ object: `host ${present.name}` })
      const host = present ?? (await this.#create(request.hostname, keyHash, clusterId))
      for (const { id } of this.#model.apiKeys.where('host', host.id)) await this.#model.apiKeys.delete(id)
      const { accessKey, secretKey } = createCredentials()
      await this.#model.apiKeys.create({
        name: `agent of ${host.name}`,
        state: 'active',
        publicValue: accessKey,
        secretHash: hashSecret(secretKey),
        role: { kind: 'agent', hostId: host.id, clusterId },
      })
      return {
        hostId: host.id,
        hostUuid: host.uuid,
        clusterId,
        nodeName: host.nodeName,
        accessKey,
        secretKey,
      }
    })
  }

  /** Takes in what a host says about itself when it connects. */
  async describe(hostId: string, facts: HostFacts): Promise<Host> {
    return await this.#model.hosts.update(hostId, current => {
      const next: Host = {
        ...current,
        hostname: facts.hostname,
        agentIpAddress: facts.address,
        labels: { ...current.labels, ...facts.labels },
        memory: facts.memory,
        milliCpu: facts.milliCpu,
        localStorageMb: facts.localStorageMb,
        info: {
          osInfo: {
            operatingSystem: facts.operatingSystem,
            kernelVersion: facts.kernelVersion,
            dockerVersion: facts.dockerVersion,
          },
          agentVersion: facts.agentVersion,
        },
      }
      return isDeepStrictEqual(next, current) ? current : next
    })
  }

  async #create(hostname: string, keyHash: string, clusterId: string): Promise<Host> {
    const nodeName = this.#freeNodeName(nodeNameOf(hostname), clusterId)
    return await this.#model.hosts.create({
      name: nodeName,
      state: 'active',
      agentState: 'registering',
      clusterId,
      hostname,
      nodeName,
      keyHash,
      agentIpAddress: '',
      labels: {},
      memory: 0,
      milliCpu: 0,
      localStorageMb: 0,
      info: { osInfo: { operatingSystem: '', kernelVersion: '', dockerVersion: '' }, agentVersion: '' },
    })
  }

  /** Machines made from one image often share a hostname: later ones get a number. */
  #freeNodeName(wanted: string, clusterId: string): string {
    let name = wanted
    for (let number = 2; this.#model.hosts.find('node', `${clusterId}/${name}`) !== undefined; number += 1) {
      name = `${wanted}-${number}`
    }
    return name
  }
}
