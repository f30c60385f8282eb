/** One balancer of this host: a run of its container, and the HAProxy in it. */
import path from 'node:path'
import { explainError, type Logger } from '../../kit/index.ts'
import { Haproxy, type HaproxyModel, parseStatistics } from '../../lb/index.ts'
import { BALANCER_PARTS_LIMIT, type BalancerStatistics, type ServiceInfo } from '../../protocol/index.ts'
import type { ModelReader } from '../metadata/index.ts'
import { balancerModel } from './balancer-model.ts'
import { CertificateDirectories } from './certificate-directories.ts'
import { type BalancerContainer, ContainedHaproxy } from './contained-haproxy.ts'
import { ContainedUdp } from './contained-udp.ts'
import { busyContainers, leavingContainers } from './leaving.ts'
import { measuresOf } from './measures.ts'
import { udpPorts } from './udp-ports.ts'

export interface LocalBalancerOptions {
  readonly containerUuid: string
  /** For its configuration; the container sees it at the same place. */
  readonly directory: string
  readonly container: BalancerContainer
  /** File of the container's network namespace. */
  readonly networkNamespace: string
  readonly hostUuid: string
  readonly log: Logger
}

export class LocalBalancer {
  readonly #options: LocalBalancerOptions
  readonly #haproxy: Haproxy
  readonly #udp: ContainedUdp
  readonly #directories: CertificateDirectories
  #runner: ContainedHaproxy | undefined
  #model: HaproxyModel | undefined
  #problems: readonly string[] = []
  #environments: ReadonlySet<string> = new Set()
  #statistics: readonly BalancerStatistics[] = []
  #reloads = 0
  #leaving: ReadonlyMap<string, boolean> = new Map()

  constructor(options: LocalBalancerOptions) {
    const { directory, container, containerUuid, log } = options
    this.#options = options
    this.#udp = new ContainedUdp(options.networkNamespace)
    this.#directories = new CertificateDirectories(name => container.readDirectory(name))
    const sockets = path.join(directory, 'sockets')
    this.#haproxy = new Haproxy({
      name: `balancer ${containerUuid.slice(0, 8)}`,
      directory,
      sockets,
      log,
      runner: place => {
        this.#runner = new ContainedHaproxy(container, place, sockets)
        return this.#runner
      },
    })
  }

  /** What stands in the way of what it was told to do. */
  get problems(): readonly string[] {
    return this.#problems
  }

  get reloads(): number {
    return this.#reloads
  }

  /** Whether a change in an environment may matter to it. */
  concerns(environmentUuid: string): boolean {
    return this.#environments.has(environmentUuid)
  }

  /**
   * Has it do what the metadata says now.
   *
   * @param certificates certificates with their keys, by name
   * @throws what HAProxy did not take; it goes on with what it had
   */
  async apply(
    reader: ModelReader,
    service: ServiceInfo,
    certificates: ReadonlyMap<string, string>,
  ): Promise<void> {
    const { hostUuid, log, containerUuid } = this.#options
    const extended = await this.#directories.extend(service, certificates)
    const { model, problems, environments } = balancerModel({
      ...{ reader, hostUuid, service: extended.service, certificates: extended.certificates },
      previous: this.#model,
    })
    this.#environments = environments
    this.#problems = [...extended.problems, ...problems, ...(await this.#applyUdp(reader, service))]
    try {
      const { how } = await this.#haproxy.apply(model)
      if (how === 'reload' || how === 'start') {
        this.#reloads += 1
        log.info({ balancer: containerUuid, how }, 'a balancer has a new configuration')
      }
      this.#model = model
    } catch (error) {
      this.#problems = [explainError(error), ...this.#problems]
      throw error
    }
  }

  /** What stands in the way of UDP keeps nothing else from being done. */
  async #applyUdp(reader: ModelReader, service: ServiceInfo): Promise<string[]> {
    const { ports, problems } = udpPorts(reader, service, this.#options.hostUuid)
    try {
      return [...problems, ...[(await this.#udp.apply(ports)) ?? []].flat()]
    } catch (error) {
      return [...problems, explainError(error)]
    }
  }

  /** What it has done until now. */
  async measure(): Promise<void> {
    // Frontends (1) and backends (2): of their many servers nobody wants to know.
    const rows = parseStatistics(await this.#haproxy.runtime.ask('show stat -1 3 -1'))
    this.#statistics = [...measuresOf(rows), ...(await this.#udp.measure())].slice(0, BALANCER_PARTS_LIMIT)
    this.#leaving = await this.#measureLeaving()
  }

  /** Containers that are to end and get no new clients from it. */
  get leaving(): ReadonlySet<string> {
    return leavingContainers(this.#model)
  }

  /** Which of them have clients, as it was measured last. */
  get leavingMeasured(): ReadonlyMap<string, boolean> {
    return this.#leaving
  }

  async #measureLeaving(): Promise<ReadonlyMap<string, boolean>> {
    const leaving = leavingContainers(this.#model)
    if (leaving.size === 0 || this.#model === undefined) return new Map()
    // What connections of an earlier configuration lead to is not asked: their workers must have ended.
    if (await this.#runner?.hasOldWorkers()) return new Map([...leaving].map(uuid => [uuid, true]))
    // Servers (4).
    const rows = parseStatistics(await this.#haproxy.runtime.ask('show stat -1 4 -1'))
    return busyContainers(this.#model, rows)
  }

  /** As it was measured last. */
  get statistics(): readonly BalancerStatistics[] {
    return this.#statistics
  }

  /** Leaves it to itself. */
  async release(): Promise<void> {
    await this.#haproxy.stop()
  }
}
