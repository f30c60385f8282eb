/** What the benches of the network share: how figures are given, and running in a private network. */
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'

/** One measured figure, printed as one line of JSON. */
export interface Figure {
  readonly bench: 'network'
  readonly name: string
  readonly value: number
  readonly unit: 'ms' | 'Gbit/s'
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

export function median(samples: readonly number[]): number {
  return samples.toSorted((a, b) => a - b)[Math.floor(samples.length / 2)] ?? Number.NaN
}

/** Runs a bench's file in a process of its own, which moves into a private network, and passes on its figures. */
export async function passOn(file: string, print: PrintFigure): Promise<void> {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', file], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  for await (const line of createInterface({ input: child.stdout })) print(JSON.parse(line) as Figure)
}
