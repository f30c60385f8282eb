/** What agents say of the balancers on their hosts. */
import { type Clock, systemClock } from '../../kit/index.ts'
import { type BalancerReport, type BalancerStatistics, LABEL } from '../../protocol/index.ts'
import type { Container, Model } from '../model/index.ts'

/**
 * Milliseconds after which every balancer that reports knows that a container is to end: its host was told, or its report would not
 * have come.
 */
const SETTLED_AFTER = 3_000

/** What was said last of one balancer. */
interface LastReport {
  /** Monotonic milliseconds. */
  readonly at: number
  readonly statistics: readonly BalancerStatistics[]
  /** Targets that are to end, and whether they may have clients. */
  readonly leaving: ReadonlyMap<string, boolean>
}

/** Longest text about a balancer that is kept. */
const LONGEST = 2_000

/** `container` with what stands in the way of its balancer. */
function withBalancerProblems(container: Container, problems: readonly string[]): Container {
  const { balancerProblem: before, ...rest } = container
  const now = problems.join('; ').slice(0, LONGEST)
  if ((before ?? '') === now) return container
  return now === '' ? rest : { ...rest, balancerProblem: now }
}

export class BalancerReports {
  readonly #model: Model
  readonly #clock: Clock
  readonly #last = new Map<string, LastReport>()

  constructor(model: Model, clock = systemClock) {
    this.#model = model
    this.#clock = clock
    model.containers.onChange((container, previous) => {
      if (container === undefined) this.#last.delete(previous?.uuid ?? '')
    })
  }

  /** Takes in what a host says; of balancers on other hosts it has nothing to say. */
  async take(hostId: string, reports: readonly BalancerReport[]): Promise<void> {
    for (const { containerUuid, problems, statistics, leaving = [] } of reports) {
      const container = this.#model.containers.find('uuid', containerUuid)
      if (container === undefined || container.hostId !== hostId) continue
      this.#last.set(containerUuid, {
        at: this.#clock.monotonic(),
        statistics,
        leaving: new Map(leaving.map(({ containerUuid: uuid, busy }) => [uuid, busy])),
      })
      await this.#model.containers.update(container.id, current => withBalancerProblems(current, problems))
    }
  }

  /**
   * Whether nobody has a client at a container any more: a balancer says so, no other one says something else, and all that run
   * have said something since. Without balancers nothing is known.
   *
   * @param container one that has been about to end for `since` milliseconds
   */
  isDrained({ uuid, clusterId }: Pick<Container, 'uuid' | 'clusterId'>, since: number): boolean {
    const settled = this.#clock.monotonic() - since + SETTLED_AFTER
    const balancers = [...this.#model.containers.all()].filter(
      each => each.clusterId === clusterId && each.labels[LABEL.balancer] === 'true',
    )
    const reports = balancers.map(({ uuid: balancer }) => this.#last.get(balancer))
    const late = balancers.some(
      ({ state }, index) => state === 'running' && (reports[index]?.at ?? Number.NEGATIVE_INFINITY) < settled,
    )
    const said = reports.flatMap(report => report?.leaving.get(uuid) ?? [])
    return !late && said.length > 0 && !said.includes(true)
  }

  /** What a balancer has done, as its host said last; empty while nothing is known. */
  statistics(container: Pick<Container, 'uuid'>): readonly BalancerStatistics[] {
    return this.#last.get(container.uuid)?.statistics ?? []
  }
}
