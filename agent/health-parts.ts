/** The health checks of a host, wired to its metadata and its link. */
import { createHash } from 'node:crypto'
import { rm } from 'node:fs/promises'
import path from 'node:path'
import { type Daemon, explainError, type Logger } from '../kit/index.ts'
import { Haproxy } from '../lb/index.ts'
import { type AgentMessage, type HealthVerdict, healthReports, type OwnMessage } from '../protocol/index.ts'
import { CheckTargets, HealthChecker, type OtherHost } from './health/index.ts'
import { EVERY, type MetadataModel } from './metadata/index.ts'

export interface HealthDutyOptions {
  readonly dataDirectory: string
  readonly hostUuid: string
  readonly address: string
  readonly model: MetadataModel
  /** False when the server is not being talked to: it is told everything when it is again. */
  readonly send: (message: OwnMessage<AgentMessage>) => boolean
  /** Told what the server was not. */
  readonly unsent: (verdicts: readonly HealthVerdict[]) => void
  readonly log: Logger
}

/** A unix socket's path has room for 107 bytes, of which HAProxy needs some. */
const LONGEST_DIRECTORY = 70

/** Where HAProxy has its files: with the agent's other ones, unless the way there is too long for a socket. */
function healthDirectory(dataDirectory: string): string {
  const directory = path.join(dataDirectory, 'health')
  const fits = Buffer.byteLength(directory) <= LONGEST_DIRECTORY && /^\/[A-Za-z0-9/_.-]*$/.test(directory)
  if (fits) return directory
  // Two agents with different data never share one.
  return `/run/drover-health-${createHash('sha256').update(directory).digest('hex').slice(0, 12)}`
}

/** Ends a HAProxy that an agent left running, and removes its files. */
export async function endHealthChecks(dataDirectory: string, log: Logger): Promise<void> {
  const directory = healthDirectory(dataDirectory)
  const haproxy = new Haproxy({ name: 'health checks', directory, log })
  await haproxy.start()
  await haproxy.stop()
  await rm(directory, { recursive: true, force: true })
}

/** Checks what the metadata assigns to this host, and reports what it finds. */
export class HealthDuty implements Daemon {
  readonly name = 'health checks'
  readonly #checker: HealthChecker
  readonly #model: MetadataModel
  readonly #hostUuid: string
  readonly #send: HealthDutyOptions['send']
  readonly #unsent: HealthDutyOptions['unsent']
  readonly #log: Logger
  #targets: CheckTargets | undefined

  constructor({ dataDirectory, hostUuid, address, model, send, unsent, log }: HealthDutyOptions) {
    this.#model = model
    this.#hostUuid = hostUuid
    this.#send = send
    this.#unsent = unsent
    this.#log = log
    this.#checker = new HealthChecker({
      directory: healthDirectory(dataDirectory),
      address,
      targets: () => this.#targets?.list() ?? [],
      others: () => this.#others(),
      report: verdicts => this.#report(verdicts),
      log,
    })
  }

  async start(): Promise<void> {
    try {
      await this.#checker.start()
    } catch (error) {
      // Containers run and talk all the same.
      this.#log.error({ reason: explainError(error) }, 'health checks do not run on this host')
      return
    }
    this.#targets = new CheckTargets(this.#model, this.#hostUuid, () => this.#checker.targetsChanged())
    this.#checker.targetsChanged()
  }

  async stop(): Promise<void> {
    this.#targets?.close()
    await this.#checker.stop()
  }

  /** The hosts that can be told something. */
  others(): readonly OtherHost[] {
    return this.#others()
  }

  /** The server was reached: it knows nothing of what was found out before. */
  sendAgain(): void {
    this.#report(this.#checker.verdicts())
  }

  #others(): OtherHost[] {
    return this.#model
      .list('host', 'every', EVERY)
      .filter(host => host.uuid !== this.#hostUuid && host.state === 'active' && host.agentIp !== '')
      .map(({ uuid, agentIp }) => ({ hostUuid: uuid, address: agentIp }))
  }

  #report(verdicts: readonly HealthVerdict[]): void {
    for (const message of healthReports(verdicts)) if (!this.#send(message)) this.#unsent(message.verdicts)
  }
}
