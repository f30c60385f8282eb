/** Lines of HAProxy's configuration that the owner of a balancer wrote, and where they belong. */

/** A balancer's `config`, taken apart. */
export interface CustomConfig {
  readonly global: readonly string[]
  readonly defaults: readonly string[]
  /** By what follows `frontend`: a source port. */
  readonly frontends: ReadonlyMap<string, readonly string[]>
  /** By a backend's name; the empty one stands for all. */
  readonly backends: ReadonlyMap<string, readonly string[]>
  /** Whole sections of other kinds, line by line. */
  readonly sections: readonly string[]
  readonly problems: readonly string[]
}

const SECTIONS: ReadonlySet<string> = new Set(
  `global defaults frontend backend listen peers mailers userlist resolvers cache ring program http-errors
  fcgi-app log-forward`.split(/\s+/),
)

/** Takes the text apart. Comments and empty lines are left out; everything else stays as it is. */
export function parseCustomConfig(text: string): CustomConfig {
  const global: string[] = []
  const defaults: string[] = []
  const frontends = new Map<string, string[]>()
  const backends = new Map<string, string[]>()
  const sections: string[] = []
  const problems: string[] = []
  let current: string[] | undefined
  const linesOf = (map: Map<string, string[]>, name: string) => {
    const lines = map.get(name) ?? []
    map.set(name, lines)
    return lines
  }
  for (const [index, whole] of text.split(/\r\n|[\n\r]/).entries()) {
    // HAProxy takes both for the space between words.
    const line = whole.replaceAll('\t', ' ').trim()
    if (line === '' || line.startsWith('#')) continue
    const [word = '', name = ''] = line.split(/\s+/)
    if (!SECTIONS.has(word)) {
      if (current === undefined)
        problems.push(`config: line ${index + 1} is in no section: ${line.slice(0, 80)}`)
      else current.push(line)
    } else if (word === 'global') current = global
    else if (word === 'defaults') current = defaults
    else if (word === 'frontend') current = linesOf(frontends, name)
    else if (word === 'backend') current = linesOf(backends, name)
    else {
      sections.push(line)
      current = sections
    }
  }
  return { global, defaults, frontends, backends, sections, problems }
}

/** Directives of which the second word says what they are about. */
const TWO_WORDS: ReadonlySet<string> = new Set(['option', 'timeout', 'stats', 'errorfile', 'compression'])

/** Directives of which there may be many, each saying something of its own. */
const MANY: ReadonlySet<string> = new Set([
  'log',
  'http-request',
  'http-response',
  'tcp-request',
  'acl',
  'setenv',
])

/** What a directive is about: of two about the same, the later one counts. */
function subjectOf(line: string): string {
  const words = line.split(/\s+/)
  const [first = '', second = ''] = words[0] === 'no' ? words.slice(1) : words
  return TWO_WORDS.has(first) ? `${first} ${second}` : first
}

/** Default lines with a user's own in the place of those about the same. */
export function mergeLines(defaults: readonly string[], custom: readonly string[]): readonly string[] {
  const subjects = new Set(custom.map(subjectOf).filter(subject => !MANY.has(subject)))
  return [...defaults.filter(line => !subjects.has(subjectOf(line))), ...custom]
}

/** Whether a line has requests written into the log. */
export function logsRequests(line: string): boolean {
  return /^(?:option\s+(?:httplog|tcplog|httpslog)|log-format)\b/.test(line)
}

/** Takes the parameters for every server out of a backend's lines: `server $IP PARAMETERS`. */
export function splitServerParameters(lines: readonly string[]): {
  readonly lines: readonly string[]
  readonly parameters: string
} {
  const pattern = /^server\s+\$IP(?::\S+)?(?:\s+(.*))?$/
  return {
    lines: lines.filter(line => !pattern.test(line)),
    parameters: lines
      .flatMap(line => pattern.exec(line)?.[1] ?? [])
      .join(' ')
      .trim(),
  }
}
