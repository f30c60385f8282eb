/** What commands write: tables or JSON on standard output, progress and errors on standard error. */
import { DroverError } from '../kit/index.ts'

export function print(text: string): void {
  process.stdout.write(`${text}\n`)
}

export function printJson(value: unknown): void {
  print(JSON.stringify(value, null, 2))
}

/** Something the user may like to see while waiting. */
export function progress(text: string): void {
  process.stderr.write(`${text}\n`)
}

/** Columns as wide as their longest value. */
export function formatTable(headings: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = headings.map((heading, column) =>
    Math.max(heading.length, ...rows.map(row => (row[column] ?? '').length)),
  )
  return [headings, ...rows]
    .map(row =>
      row
        .map((cell, column) => (column === row.length - 1 ? cell : cell.padEnd(widths[column] ?? 0)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

/** Writes what, where and the mend of an error. */
export function printError(error: unknown): void {
  if (error instanceof DroverError) {
    const lines = [`error: ${error.message}`]
    if (error.expected !== undefined) lines.push(`  expected: ${error.expected}`)
    if (error.mend !== undefined) lines.push(`  mend: ${error.mend}`)
    process.stderr.write(`${lines.join('\n')}\n`)
    return
  }
  process.stderr.write(`error: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`)
}
