/**
 * Tells the server what Docker says about the containers here: on every change, in full after every connection, and as
 * a status packet each minute. Only the newest state of a container waits to be sent, so that a long absence of the
 * server costs no more than one report per container.
 */
import { isDeepStrictEqual } from 'node:util'
import { type Clock, type Daemon, systemClock } from '../../kit/index.ts'
import {
  type AgentMessage,
  type ContainerProblem,
  type ContainerReport,
  LABEL,
  type OwnMessage,
  STATUS_INTERVAL,
} from '../../protocol/index.ts'
import type { ContainerDetails } from '../docker/index.ts'

/** Labels by which a pod's Docker containers say what they are. */
export interface PodLabels {
  readonly type: string
  readonly attempt: string
  readonly sandbox: string
}

export interface ContainerReporterOptions {
  readonly containers: () => Iterable<ContainerDetails>
  /** Addresses and MAC of a container (or sandbox) on the managed network. */
  readonly managedAddress: (
    containerId: string,
  ) => { readonly ip: string; readonly ip6?: string; readonly macAddress: string } | undefined
  readonly problems: () => readonly ContainerProblem[]
  readonly load: () => { readonly load: number; readonly memoryFree: number }
  readonly send: (message: OwnMessage<AgentMessage>) => boolean
  readonly podLabels: PodLabels
  readonly clock?: Clock
}

/** Changes within so many milliseconds are one message. */
const COALESCE = 20

/** Characters. Anybody may start a container with a longer one in its labels. */
const LONGEST_IDENTITY = 256

/** What stays the same while Docker containers come and go. */
function identityOf(details: ContainerDetails): string {
  const { labels, id } = details
  const uuid = labels[LABEL.containerUuid]
  if (uuid !== undefined && uuid !== '' && uuid.length <= LONGEST_IDENTITY) return uuid
  const pod = podOf(labels)
  return pod === undefined ? id : `pod:${pod.uid}/${pod.container}`
}

/** The pod that a container says it is of. Names that no pod can have are somebody's invention, and say nothing. */
function podOf(labels: ContainerDetails['labels']): ContainerReport['pod'] {
  const uid = labels[LABEL.podUid]
  if (uid === undefined || uid.length > 64) return undefined
  const [namespace = '', name = '', container = ''] = [
    labels[LABEL.podNamespace],
    labels[LABEL.podName],
    labels[LABEL.podContainer],
  ]
  const fits = namespace.length <= 63 && name.length <= 253 && container.length <= 63
  return fits ? { uid, namespace, name, container } : undefined
}

function isRunning(details: ContainerDetails): boolean {
  return details.status === 'running' || details.status === 'paused'
}

export class ContainerReporter implements Daemon {
  readonly name = 'container reporter'
  readonly #options: ContainerReporterOptions
  readonly #clock: Clock
  /** What the server was told, by identity. */
  #sent = new Map<string, ContainerReport>()
  #sentProblems: readonly ContainerProblem[] = []
  #scheduled: (() => void) | undefined
  #status: NodeJS.Timeout | undefined

  constructor(options: ContainerReporterOptions) {
    this.#options = options
    this.#clock = options.clock ?? systemClock
  }

  start(): Promise<void> {
    this.#status = setInterval(() => this.sendStatus(), STATUS_INTERVAL)
    this.#status.unref()
    return Promise.resolve()
  }

  stop(): Promise<void> {
    clearInterval(this.#status)
    this.#scheduled?.()
    this.#scheduled = undefined
    return Promise.resolve()
  }

  /** Something changed: say so soon. */
  changed(): void {
    this.#scheduled ??= this.#clock.after(COALESCE, () => {
      this.#scheduled = undefined
      this.#sendChanges()
    })
  }

  /** Tells everything, e.g. after connecting. */
  sendFull(): void {
    const reports = this.#reports()
    const problems = this.#options.problems()
    const sent = this.#options.send({
      type: 'containers',
      full: true,
      changed: [...reports.values()],
      removed: [],
      problems: [...problems],
    })
    if (sent) {
      this.#sent = reports
      this.#sentProblems = problems
    }
  }

  /** The packet of each minute. */
  sendStatus(): void {
    const containers = [...this.#reports().values()].map(({ identity, externalId, state }) => ({
      identity,
      externalId,
      state,
    }))
    this.#options.send({ type: 'status', containers, ...this.#options.load() })
  }

  #sendChanges(): void {
    const reports = this.#reports()
    const changed = [...reports.values()].filter(
      report => !isDeepStrictEqual(this.#sent.get(report.identity), report),
    )
    const removed = [...this.#sent.keys()].filter(identity => !reports.has(identity))
    const all = this.#options.problems()
    // A problem goes after the report that might clear it.
    const again = new Set(changed.map(({ identity }) => identity))
    const problems = all.filter(
      problem =>
        again.has(problem.uuid) || !this.#sentProblems.some(sent => isDeepStrictEqual(sent, problem)),
    )
    if (changed.length + removed.length + problems.length === 0) {
      this.#sentProblems = all
      return
    }
    if (this.#options.send({ type: 'containers', full: false, changed, removed, problems })) {
      this.#sent = reports
      this.#sentProblems = all
    }
  }

  /** The newest Docker container of each identity. */
  #reports(): Map<string, ContainerReport> {
    const newest = new Map<string, ContainerDetails>()
    for (const details of this.#options.containers()) {
      if (details.labels[this.#options.podLabels.type] === 'podsandbox') continue
      const identity = identityOf(details)
      const present = newest.get(identity)
      if (present === undefined || present.createdAt < details.createdAt) newest.set(identity, details)
    }
    return new Map([...newest].map(([identity, details]) => [identity, this.#report(identity, details)]))
  }

  #report(identity: string, details: ContainerDetails): ContainerReport {
    const { labels, status } = details
    const { podLabels, managedAddress } = this.#options
    const sandbox = labels[podLabels.sandbox]
    const managed = isRunning(details) ? managedAddress(sandbox ?? details.id) : undefined
    const ip = managed?.ip ?? details.ip
    const macAddress = managed?.macAddress ?? details.macAddress
    const pod = podOf(labels)
    const attempt = Number(labels[podLabels.attempt] ?? details.restartCount)
    return {
      identity,
      externalId: details.id,
      name: details.name.slice(0, 256),
      image: details.image.slice(0, 512),
      state: status,
      createdAt: details.createdAt,
      hostname: details.hostname.slice(0, 256),
      command: details.command.slice(0, 256).map(word => word.slice(0, 4096)),
      labels: boundedLabels(labels),
      networkMode: details.networkMode.slice(0, 128),
      ports: [...details.ports].slice(0, 1024),
      hidden: false,
      startCount: details.startedAt === undefined ? 0 : attempt + 1,
      ...(status === 'exited' ? { exitCode: details.exitCode } : {}),
      ...(details.startedAt === undefined ? {} : { startedAt: details.startedAt }),
      ...(ip === undefined || ip === '' ? {} : { primaryIp: ip }),
      ...(managed?.ip6 === undefined ? {} : { primaryIpv6: managed.ip6 }),
      ...(macAddress === undefined || macAddress === '' ? {} : { macAddress }),
      ...(pod === undefined ? {} : { pod }),
    }
  }
}

/** Anybody may start a container with a novel in its labels; the server takes only so much of it. */
function boundedLabels(labels: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(labels)
      .slice(0, 512)
      .map(([name, value]) => [name.slice(0, 512), value.slice(0, 16_384)]),
  )
}
