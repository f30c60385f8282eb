/** Path 2 of a container's status: what agents report becomes what the API shows. */
import { isDeepStrictEqual } from 'node:util'
import { KeyedLock, type Logger } from '../../kit/index.ts'
import {
  type AgentMessage,
  type ContainerProblem,
  type ContainerReport,
  type ContainerState,
  LABEL,
  type MessageOfType,
} from '../../protocol/index.ts'
import type { Container, Host, Model } from '../model/index.ts'

type ContainersMessage = MessageOfType<AgentMessage, 'containers'>
type StatusMessage = MessageOfType<AgentMessage, 'status'>

const STATE: Readonly<Record<ContainerState, Container['state']>> = {
  created: 'starting',
  running: 'running',
  paused: 'paused',
  exited: 'stopped',
}

/** Kubernetes namespaces whose pods belong to the cluster's own environment. */
const SYSTEM_NAMESPACES = new Set(['kube-system', 'kube-public', 'kube-node-lease', 'cattle-system'])

/** The name of a container that something else than Drover started. */
function nativeName(report: Pick<ContainerReport, 'name' | 'pod'>): string {
  const { pod } = report
  if (pod === undefined) return report.name
  // A pod of a workload is named after its container most of the time; then the pod's name says it all.
  return pod.name === pod.container || pod.name.startsWith(`${pod.container}-`)
    ? pod.name
    : `${pod.name}-${pod.container}`
}

/** `container` after a report about it. */
function withReport(container: Container, report: ContainerReport, hostId: string): Container {
  const restarted = report.startedAt !== undefined && report.startedAt !== container.lastStart
  const { transitioningMessage: _message, exitCode: _exitCode, primaryIpv6Address, ...rest } = container
  // Whoever runs again may have no address of this family any more.
  const ipv6 = report.primaryIp === undefined ? primaryIpv6Address : report.primaryIpv6
  return {
    ...rest,
    state: container.state === 'removing' ? 'removing' : STATE[report.state],
    hostId,
    externalId: report.externalId,
    hostname: report.hostname,
    ports: report.ports,
    // An address belongs to a running container; a stopped one has none.
    ...(report.primaryIp === undefined ? {} : { primaryIpAddress: report.primaryIp }),
    ...(ipv6 === undefined ? {} : { primaryIpv6Address: ipv6 }),
    ...(report.macAddress === undefined ? {} : { primaryMacAddress: report.macAddress }),
    ...(report.exitCode === undefined ? {} : { exitCode: report.exitCode }),
    ...(report.startedAt === undefined ? {} : { lastStart: report.startedAt }),
    startCount: restarted ? Math.max(container.startCount + 1, report.startCount) : container.startCount,
  }
}

export class ContainerSync {
  readonly #model: Model
  readonly #log: Logger
  readonly #lock = new KeyedLock('reports of', 10_000)

  constructor(model: Model, log: Logger) {
    this.#model = model
    this.#log = log
  }

  /** Takes in a report. Reports of one host are taken in one after the other. */
  async apply(hostId: string, message: ContainersMessage): Promise<void> {
    await this.#lock.run(hostId, async () => {
      const host = this.#model.hosts.get(hostId)
      if (host === undefined || host.state === 'removing') return
      for (const report of message.changed) await this.#applyReport(host, report)
      for (const identity of message.removed) await this.#applyRemoval(hostId, identity)
      for (const problem of message.problems) await this.#applyProblem(host, problem)
      if (message.full) await this.#removeUnreported(hostId, message.changed)
    })
  }

  /** Whether a status packet tells something else than what is known of the host. */
  differs(hostId: string, status: StatusMessage): boolean {
    const clusterId = this.#model.hosts.get(hostId)?.clusterId
    const reported = new Map(status.containers.map(container => [container.identity, container]))
    const known = this.#model.containers
      .where('host', hostId)
      .filter(container => container.externalId !== undefined)
    if (known.some(({ identity }) => !reported.has(identity))) return true
    return status.containers.some(({ identity, externalId, state }) => {
      const container = this.#model.containers.find('identity', identity)
      if (container === undefined || container.clusterId !== clusterId) return false
      return (
        container.externalId !== externalId ||
        (container.state !== 'removing' && container.state !== 'error' && container.state !== STATE[state])
      )
    })
  }

  async #applyReport(host: Host, report: ContainerReport): Promise<void> {
    const container = this.#model.containers.find('identity', report.identity)
    if (container !== undefined) {
      if (!this.#isOf(host, container, report.pod?.namespace)) {
        const { identity, pod } = report
        this.#log.warn({ host: host.id, identity, pod }, 'a host speaks of a container that is another’s')
        return
      }
      await this.#model.containers.update(container.id, current => {
        const next = withReport(current, report, host.id)
        return isDeepStrictEqual(next, current) ? current : next
      })
      return
    }
    // A container of a deployment unit that is gone is on its way out; it is nobody's discovery.
    if (report.labels[LABEL.deploymentUnit] !== undefined) return
    await this.#import(host, report)
  }

  async #import(host: Host, report: ContainerReport): Promise<void> {
    const accountId = await this.#projectFor(host.clusterId, report.pod?.namespace)
    if (accountId === undefined) return
    const fresh: Omit<Container, 'id' | 'uuid' | 'created'> = {
      name: nativeName(report),
      state: 'starting',
      clusterId: host.clusterId,
      accountId,
      identity: report.identity,
      image: report.image,
      command: report.command,
      labels: report.labels,
      networkMode: report.networkMode,
      ports: report.ports,
      startCount: 0,
      createIndex: 0,
      nativeContainer: true,
      hidden: false,
      system: report.labels[LABEL.containerSystem] !== undefined,
    }
    const known = withReport({ ...fresh, id: '', uuid: '', created: '' }, report, host.id)
    const { id: _id, uuid: _uuid, created: _created, ...fields } = known
    await this.#model.containers.create(fields)
  }

  /**
   * Whether a host may speak of a container: of its own cluster alone, and of a pod's container as one of the pod's
   * environment. Who knows a uuid must not become by it what somebody else's container is.
   */
  #isOf(host: Host, container: Container, namespace: string | undefined): boolean {
    if (container.clusterId !== host.clusterId) return false
    return namespace === undefined || this.#knownProject(host.clusterId, namespace) === container.accountId
  }

  /** The environment of a namespace. */
  #knownProject(clusterId: string, namespace: string): string | undefined {
    return SYSTEM_NAMESPACES.has(namespace)
      ? this.#model.clusters.get(clusterId)?.systemProjectId
      : this.#model.projects.find('namespace', `${clusterId}/${namespace}`)?.id
  }

  /** The environment of a namespace, made when there is none; without namespace the cluster's default one. */
  async #projectFor(clusterId: string, namespace: string | undefined): Promise<string | undefined> {
    if (namespace === undefined) return this.#model.clusters.get(clusterId)?.defaultProjectId
    const present = this.#knownProject(clusterId, namespace)
    if (present !== undefined || SYSTEM_NAMESPACES.has(namespace)) return present
    return await this.#lock.run(`namespace ${clusterId}/${namespace}`, async () => {
      const made = this.#model.projects.find('namespace', `${clusterId}/${namespace}`)
      if (made !== undefined) return made.id
      const project = await this.#model.projects.create({
        name: namespace,
        state: 'active',
        clusterId,
        clusterOwner: false,
        externalId: namespace,
      })
      return project.id
    })
  }

  async #applyRemoval(hostId: string, identity: string): Promise<void> {
    const container = this.#model.containers.find('identity', identity)
    if (container !== undefined && container.hostId === hostId) await this.#lose(container)
  }

  async #removeUnreported(hostId: string, reports: readonly ContainerReport[]): Promise<void> {
    const reported = new Set(reports.map(({ identity }) => identity))
    for (const container of this.#model.containers.where('host', hostId)) {
      if (!reported.has(container.identity) && container.externalId !== undefined) await this.#lose(container)
    }
  }

  /** Its Docker container is gone. One that Drover wants back is on its way to being started again. */
  async #lose(container: Container): Promise<void> {
    if (container.deploymentUnitId === undefined) {
      await this.#model.containers.delete(container.id)
      return
    }
    await this.#model.containers.update(container.id, current => {
      const { externalId, ...known } = current
      const { primaryIpAddress: _ip, primaryIpv6Address: _ipv6, primaryMacAddress: _mac, ...rest } = known
      if (externalId === undefined) return current
      return { ...rest, state: current.state === 'removing' ? 'removing' : 'starting', ports: [] }
    })
  }

  async #applyProblem(host: Host, problem: ContainerProblem): Promise<void> {
    const container = this.#model.containers.find('identity', problem.uuid)
    if (container === undefined || !this.#isOf(host, container, undefined)) return
    // Once it is known where it is to run, nobody else knows better.
    if (container.hostId !== undefined && container.hostId !== host.id) return
    const transitioningMessage = `${problem.reason}: ${problem.message}`
    await this.#model.containers.update(container.id, current =>
      current.state === 'removing' || current.transitioningMessage === transitioningMessage
        ? current
        : { ...current, state: 'error', transitioningMessage },
    )
  }
}
