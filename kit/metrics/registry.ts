/**
 * What a process can tell of itself, in the text format of Prometheus
 * (https://prometheus.io/docs/instrumenting/exposition_formats/).
 *
 * Nothing is counted here: whoever does the work keeps plain numbers, which are read when somebody asks. prom-client would
 * take 15 MB of memory for the same text.
 */

export type Labels = Readonly<Record<string, string>>

/** A value of a metric that has several, told apart by labels. */
export interface Sample {
  readonly labels: Labels
  readonly value: number
}

/** How long things took, counted by upper bounds. */
export interface Distribution {
  /** Ascending, in the metric's unit. */
  readonly bounds: readonly number[]
  /** How many were at most as long as the bound at the same place, and longer than the one before. */
  readonly counts: ArrayLike<number>
  /** Of all, also of those beyond the last bound. */
  readonly count: number
  readonly sum: number
}

/** One of several distributions of a metric, told apart by labels. */
export interface LabelledDistribution extends Distribution {
  readonly labels: Labels
}

interface MetricText {
  /** `drover_dns_queries_total`; counters end in `_total`, other names in their unit. */
  readonly name: string
  readonly help: string
}

export type Metric = MetricText &
  (
    | { readonly type: 'counter' | 'gauge'; readonly read: () => number | readonly Sample[] | undefined }
    | { readonly type: 'histogram'; readonly read: () => Distribution | readonly LabelledDistribution[] }
  )

const NAME = /^[a-z_][a-z0-9_]*$/

function escapeHelp(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')
}

function labelText(labels: Labels): string {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escapeLabel(value)}"`)
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`
}

function escapeLabel(text: string): string {
  return escapeHelp(text).replaceAll('"', '\\"')
}

function sampleLines(name: string, value: number | readonly Sample[] | undefined): string[] {
  if (value === undefined) return []
  if (typeof value === 'number') return [`${name} ${value}`]
  return value.map(sample => `${name}${labelText(sample.labels)} ${sample.value}`)
}

/** The format wants every count to hold the smaller ones, too. */
function distributionLines(
  name: string,
  { bounds, counts, count, sum }: Distribution,
  labels: Labels = {},
): string[] {
  let total = 0
  const own = labelText(labels)
  const within = own === '' ? '{' : `${own.slice(0, -1)},`
  const buckets = bounds.map((bound, index) => {
    total += counts[index] ?? 0
    return `${name}_bucket${within}le="${bound}"} ${total}`
  })
  return [
    ...buckets,
    `${name}_bucket${within}le="+Inf"} ${count}`,
    `${name}_sum${own} ${sum}`,
    `${name}_count${own} ${count}`,
  ]
}

function histogramLines(name: string, value: Distribution | readonly LabelledDistribution[]): string[] {
  if (!isSeveral(value)) return distributionLines(name, value)
  return value.flatMap(({ labels, ...distribution }) => distributionLines(name, distribution, labels))
}

function isSeveral(
  value: Distribution | readonly LabelledDistribution[],
): value is readonly LabelledDistribution[] {
  return Array.isArray(value)
}

export class MetricsRegistry {
  readonly #metrics = new Map<string, Metric>()

  /** @throws `RangeError` for a name that is none, or is taken: a mistake of the program */
  add(...metrics: readonly Metric[]): void {
    for (const metric of metrics) {
      if (!NAME.test(metric.name) || this.#metrics.has(metric.name)) {
        throw new RangeError(`no name for one more metric: ${metric.name}`)
      }
      this.#metrics.set(metric.name, metric)
    }
  }

  /** All metrics as they are now. A gauge that has no value at the moment is left out. */
  text(): string {
    const lines: string[] = []
    for (const metric of this.#metrics.values()) {
      const { name, help, type } = metric
      lines.push(`# HELP ${name} ${escapeHelp(help)}`, `# TYPE ${name} ${type}`)
      const values =
        metric.type === 'histogram' ? histogramLines(name, metric.read()) : sampleLines(name, metric.read())
      lines.push(...values)
    }
    return lines.length === 0 ? '' : `${lines.join('\n')}\n`
  }
}
