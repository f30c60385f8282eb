/**
 * How many requests a cluster answered, how long that took, and what is open: by Kubernetes' labels. Counting is on the
 * way of every request: one lookup at its begin, a few additions at its end.
 */
import type { LabelledDistribution, Labels, Sample } from '../../../../kit/metrics/index.ts'

/** Seconds, as Kubernetes has them. */
const BOUNDS = [
  0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1, 1.25, 1.5, 2, 3, 4, 5, 6, 8, 10, 15, 20, 30, 45, 60,
]
/** Combinations of labels that are counted apart; kinds come from users, so there must be an end to them. */
const MOST_SERIES = 1024

export interface RequestLabels {
  /** In capitals: of HTTP, or `LIST`, `WATCH`, `APPLY`, `DELETECOLLECTION`, `CONNECT`. */
  readonly verb: string
  readonly group: string
  readonly version: string
  readonly kind: string
  /** Empty for what is no object. */
  readonly resource: string
  readonly subresource: string
  readonly scope: '' | 'cluster' | 'namespace' | 'resource'
  readonly dryRun: boolean
}

/** Of what exceeds the limit. */
const OTHERS: RequestLabels = {
  verb: 'other',
  group: '',
  version: '',
  kind: '',
  resource: 'other',
  subresource: '',
  scope: '',
  dryRun: false,
}

const READING: ReadonlySet<string> = new Set(['GET', 'HEAD', 'LIST', 'WATCH'])
/** What lasts as long as its client wants. */
const LONG_RUNNING: ReadonlySet<string> = new Set(['WATCH', 'CONNECT'])

class Series {
  readonly labels: RequestLabels
  readonly codes = new Map<number, number>()
  readonly counts = new Uint32Array(BOUNDS.length)
  count = 0
  sum = 0
  open = 0

  constructor(labels: RequestLabels) {
    this.labels = labels
  }

  end(seconds: number, code: number): void {
    this.open -= 1
    this.codes.set(code, (this.codes.get(code) ?? 0) + 1)
    this.count += 1
    this.sum += seconds
    const bucket = BOUNDS.findIndex(bound => seconds <= bound)
    if (bucket >= 0) this.counts[bucket] = (this.counts[bucket] ?? 0) + 1
  }

  get text(): Labels {
    const { dryRun, kind: _, ...labels } = this.labels
    return { ...labels, component: 'apiserver', dry_run: dryRun ? 'All' : '' }
  }
}

export class RequestMetrics {
  readonly #series = new Map<string, Series>()

  /** Notes that a request began. @returns to be called once with the status of its answer, when it is over */
  begin(labels: RequestLabels): (code: number) => void {
    const { verb, group, version, resource, subresource, scope, dryRun } = labels
    const key = `${verb} ${group} ${version} ${resource} ${subresource} ${scope} ${dryRun}`
    const series = this.#series.get(key) ?? this.#add(key, labels)
    series.open += 1
    const begin = performance.now()
    return code => series.end((performance.now() - begin) / 1000, code)
  }

  #add(key: string, labels: RequestLabels): Series {
    const full = this.#series.size >= MOST_SERIES
    const present = full ? this.#series.get('') : undefined
    if (present !== undefined) return present
    const series = new Series(full ? OTHERS : labels)
    this.#series.set(full ? '' : key, series)
    return series
  }

  /** Answers by labels and status. */
  answers(): readonly Sample[] {
    return [...this.#series.values()].flatMap(series =>
      [...series.codes].map(([code, value]) => ({ labels: { ...series.text, code: String(code) }, value })),
    )
  }

  /** How long answers took, in seconds. */
  durations(): readonly LabelledDistribution[] {
    return [...this.#series.values()].map(series => ({
      labels: series.text,
      bounds: BOUNDS,
      counts: series.counts,
      count: series.count,
      sum: series.sum,
    }))
  }

  /** What is being answered, apart from what lasts. */
  inflight(): readonly Sample[] {
    const count = (reading: boolean) =>
      this.#sum(({ verb }) => !LONG_RUNNING.has(verb) && READING.has(verb) === reading)
    return [
      { labels: { request_kind: 'mutating' }, value: count(false) },
      { labels: { request_kind: 'readOnly' }, value: count(true) },
    ]
  }

  /** Watches and streams that are open. */
  lasting(): readonly Sample[] {
    return [...this.#series.values()]
      .filter(({ labels }) => LONG_RUNNING.has(labels.verb))
      .map(series => ({ labels: series.text, value: series.open }))
  }

  /** Open watches by the kind that is watched. */
  watchers(): readonly Sample[] {
    const open = new Map<string, { readonly labels: Labels; value: number }>()
    for (const { labels, open: value } of this.#series.values()) {
      if (labels.verb !== 'WATCH') continue
      const { group, version, kind } = labels
      const key = `${group}/${version}/${kind}`
      const present = open.get(key) ?? { labels: { group, version, kind }, value: 0 }
      present.value += value
      open.set(key, present)
    }
    return [...open.values()]
  }

  #sum(counts: (labels: RequestLabels) => boolean): number {
    let sum = 0
    for (const { labels, open } of this.#series.values()) if (counts(labels)) sum += open
    return sum
  }
}
