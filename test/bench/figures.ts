/** What all benches share: how a figure is given, and what is made of many samples. */

/** One measured figure, printed as one line of JSON. */
export interface Figure {
  /** What the bench is about: the name of its folder. */
  readonly bench: 'agent' | 'dns' | 'master' | 'metadata' | 'network' | 'pods' | 'store'
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

export function rounded(value: number, digits = 3): number {
  return Number(value.toPrecision(digits))
}

/** The value below which `fraction` of the samples are. */
export function percentile(samples: readonly number[], fraction: number): number {
  const sorted = Float64Array.from(samples).sort()
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * fraction))] ?? Number.NaN
}

export function median(samples: readonly number[]): number {
  return percentile(samples, 0.5)
}
