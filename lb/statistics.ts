/** Answers of HAProxy's runtime API, as objects. */

/** One line of `show stat`: a frontend, a backend or a server. */
export interface StatisticsRow {
  readonly proxy: string
  /** `FRONTEND`, `BACKEND`, or the server. */
  readonly server: string
  /** `UP`, `DOWN`, `MAINT`, `no check`, `UP 1/3`, … */
  readonly status: string
  /** Every column by its name, as text. */
  readonly columns: Readonly<Record<string, string>>
}

/** One entry of a stick table. */
export interface TableEntry {
  readonly key: string
  readonly values: Readonly<Record<string, string>>
}

/** Cells of one line: those in quotes may hold commas, and quotes twice. */
function cellsOf(line: string): string[] {
  if (!line.includes('"')) return line.split(',')
  return [...line.matchAll(/("(?:[^"]|"")*"|[^,]*)(?:,|$)/g)]
    .map(([, cell = '']) => (cell.startsWith('"') ? cell.slice(1, -1).replaceAll('""', '"') : cell))
    .slice(0, -1)
}

/** The answer to `show stat`. */
export function parseStatistics(answer: string): StatisticsRow[] {
  const [head = '', ...lines] = answer.split('\n')
  const names = cellsOf(head.replace(/^# /, ''))
  return lines
    .filter(line => line !== '')
    .map(line => {
      const cells = cellsOf(line)
      const columns: Record<string, string> = {}
      for (const [index, name] of names.entries()) if (name !== '') columns[name] = cells[index] ?? ''
      return {
        proxy: columns.pxname ?? '',
        server: columns.svname ?? '',
        status: columns.status ?? '',
        columns,
      }
    })
}

/** The answer to `show table NAME`. */
export function parseTable(answer: string): TableEntry[] {
  return answer
    .split('\n')
    .filter(line => line.startsWith('0x'))
    .map(line => {
      const fields = [...line.matchAll(/(\S+)=(\S+)/g)].map(
        ([, name = '', value = '']) => [name, value] as const,
      )
      const { key = '', ...values } = Object.fromEntries(fields)
      return { key, values }
    })
}
