/** What the benches of the DNS server share: how figures are given. */

/** One measured figure, printed as one line of JSON. */
export interface Figure {
  readonly bench: 'dns'
  readonly name: string
  readonly value: number
  readonly unit: string
  /** The same work done by someone else in the same run. */
  readonly peer?: { readonly name: string; readonly value: number; readonly ratio: number }
  /** What must hold; absent when the figure is for information. */
  readonly budget?: string
}

export type PrintFigure = (figure: Figure) => void

export const printLine: PrintFigure = figure => {
  process.stdout.write(`${JSON.stringify(figure)}\n`)
}

/** The value below which `fraction` of the samples are. */
export function percentile(samples: readonly number[], fraction: number): number {
  const sorted = Float64Array.from(samples).sort()
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * fraction))] ?? Number.NaN
}

export function median(values: readonly number[]): number {
  return percentile(values, 0.5)
}

export const rounded = (value: number) => Number(value.toPrecision(3))
