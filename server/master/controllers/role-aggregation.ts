/** Fills cluster roles that gather others with the rules of those. */
import {
  CLUSTER_ROLES,
  type Frozen,
  type JsonValue,
  type LabelSelector,
  type PolicyRule,
  type Role,
  selectorMatches,
} from '../apiserver/index.ts'
import { unlessAbsent } from './absence.ts'
import type { Controller, ControllerOptions } from './controller.ts'
import { ObjectLoop } from './object-loop.ts'

type Rules = readonly Frozen<PolicyRule>[]

function selectorsOf({ aggregationRule }: Frozen<Role>): readonly Frozen<LabelSelector>[] | undefined {
  return aggregationRule?.clusterRoleSelectors
}

/** A rule as text, the same for the same rule. */
function textOf(rule: Frozen<PolicyRule>): string {
  return JSON.stringify(Object.entries(rule).toSorted(([a], [b]) => (a < b ? -1 : 1)))
}

/** The rules that a role gathers, each once. */
function gatheredRules(role: Frozen<Role>, roles: readonly Frozen<Role>[]): Rules {
  const selectors = selectorsOf(role) ?? []
  const parts = roles
    .filter(
      ({ metadata }) =>
        metadata.name !== role.metadata.name &&
        selectors.some(selector => selectorMatches(selector, metadata.labels ?? {})),
    )
    .toSorted((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1))
  return [...new Map(parts.flatMap(part => (part.rules ?? []).map(rule => [textOf(rule), rule]))).values()]
}

/** Whether two lists hold the same rules, in whatever order. */
function sameRules(one: Rules, other: Rules): boolean {
  const texts = new Set(one.map(textOf))
  return texts.size === new Set(other.map(textOf)).size && other.every(rule => texts.has(textOf(rule)))
}

export class RoleAggregator implements Controller {
  readonly #client: ControllerOptions['client']
  readonly #loop: ObjectLoop
  /** Selectors of roles that gather others, by name. */
  readonly #gathering = new Map<string, readonly Frozen<LabelSelector>[]>()

  constructor(options: ControllerOptions) {
    this.#client = options.client
    this.#loop = new ObjectLoop('role aggregation', options, async target => {
      await this.#reconcile(target.name)
      return undefined
    })
  }

  async start(): Promise<void> {
    await this.#loop.observe(CLUSTER_ROLES, {
      seen: (role, previous) => {
        const { name } = role.metadata
        const selectors = selectorsOf(role)
        if (selectors === undefined) this.#gathering.delete(name)
        else this.#gathering.set(name, selectors)
        this.#loop.kick({ namespace: '', name })
        this.#kickGatherers(role)
        if (previous !== undefined) this.#kickGatherers(previous)
      },
      removed: role => {
        this.#gathering.delete(role.metadata.name)
        this.#kickGatherers(role)
      },
    })
    this.#loop.start()
  }

  async stop(): Promise<void> {
    await this.#loop.stop()
  }

  #kickGatherers({ metadata }: Frozen<Role>): void {
    for (const [name, selectors] of this.#gathering) {
      if (selectors.some(selector => selectorMatches(selector, metadata.labels ?? {})))
        this.#loop.kick({ namespace: '', name })
    }
  }

  async #reconcile(name: string): Promise<void> {
    if (!this.#gathering.has(name)) return
    const target = { namespace: '', name }
    const role = await this.#client.get(CLUSTER_ROLES, target)
    if (role === undefined || selectorsOf(role) === undefined) return
    const rules = gatheredRules(role, await this.#client.list(CLUSTER_ROLES))
    if (sameRules(role.rules ?? [], rules)) return
    const { resourceVersion = '' } = role.metadata
    const body = { metadata: { resourceVersion }, rules: rules as unknown as JsonValue }
    await unlessAbsent(() => this.#client.patch(CLUSTER_ROLES, target, { type: 'merge', body }))
  }
}
