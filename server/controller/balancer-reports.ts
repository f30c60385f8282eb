/** What agents say of the balancers on their hosts. */
import type { BalancerReport, BalancerStatistics } from '../../protocol/index.ts'
import type { Container, Model } from '../model/index.ts'

/** Longest text about a balancer that is kept. */
const LONGEST = 2_000

/** `container` with what stands in the way of its balancer. */
export function withBalancerProblems(container: Container, problems: readonly string[]): Container {
  const { balancerProblem: before, ...rest } = container
  const now = problems.join('; ').slice(0, LONGEST)
  if ((before ?? '') === now) return container
  return now === '' ? rest : { ...rest, balancerProblem: now }
}

export class BalancerReports {
  readonly #model: Model
  readonly #statistics = new Map<string, readonly BalancerStatistics[]>()

  constructor(model: Model) {
    this.#model = model
    model.containers.onChange((container, previous) => {
      if (container === undefined) this.#statistics.delete(previous?.uuid ?? '')
    })
  }

  /** Takes in what a host says; of balancers on other hosts it has nothing to say. */
  async take(hostId: string, reports: readonly BalancerReport[]): Promise<void> {
    for (const { containerUuid, problems, statistics } of reports) {
      const container = this.#model.containers.find('uuid', containerUuid)
      if (container === undefined || container.hostId !== hostId) continue
      this.#statistics.set(containerUuid, statistics)
      await this.#model.containers.update(container.id, current => withBalancerProblems(current, problems))
    }
  }

  /** What a balancer has done, as its host said last; empty while nothing is known. */
  statistics(container: Pick<Container, 'uuid'>): readonly BalancerStatistics[] {
    return this.#statistics.get(container.uuid) ?? []
  }
}
