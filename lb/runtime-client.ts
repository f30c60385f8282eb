/** Commands to a running HAProxy over its unix socket: bounded in time and size. */
import { createConnection } from 'node:net'
import { withDeadline } from '../kit/index.ts'
import { lbErrors } from './errors.ts'
import { parseStatistics, parseTable, type StatisticsRow, type TableEntry } from './statistics.ts'

/** Milliseconds for one exchange. */
const DEADLINE = 10_000

/** Bytes of one answer. */
const LONGEST_ANSWER = 64 * 1024 * 1024

/** Bytes of one request: HAProxy reads it into one buffer of 16 KiB. */
const LONGEST_REQUEST = 8000

/** What HAProxy says when a command that changes something was carried out. */
const DONE =
  /^(?:$|IP changed from|no need to change the addr|port changed from|nothing changed|Transaction (?:created|updated) for|Committing )/

/** Packs commands into as few requests as possible. A command with a payload goes alone. */
export function packCommands(commands: readonly string[]): string[][] {
  const requests: string[][] = []
  let size = Number.POSITIVE_INFINITY
  for (const command of commands) {
    const alone = command.includes('\n')
    if (alone || size + command.length + 1 > LONGEST_REQUEST) {
      requests.push([])
      size = 0
    }
    requests.at(-1)?.push(command)
    size = alone ? Number.POSITIVE_INFINITY : size + command.length + 1
  }
  return requests
}

/** Takes the answers of one request apart: each ends with an empty line. */
export function splitAnswers(answer: string): string[] {
  const answers: string[] = []
  let lines: string[] = []
  for (const line of answer.replace(/\n$/, '').split('\n')) {
    if (line !== '') lines.push(line)
    else {
      answers.push(lines.join('\n'))
      lines = []
    }
  }
  if (lines.length > 0) answers.push(lines.join('\n'))
  return answers
}

export class RuntimeClient {
  readonly #socket: () => string
  readonly #deadline: number

  /** @param socket asked anew for every exchange */
  constructor(socket: () => string, deadline = DEADLINE) {
    this.#socket = socket
    this.#deadline = deadline
  }

  /**
   * Asks something.
   *
   * @returns the answer as it is
   * @throws `NotRunning`, `DeadlineExceeded`
   */
  async ask(command: string): Promise<string> {
    return await withDeadline(this.#deadline, `HAProxy: ${command.slice(0, 60)}`, signal =>
      this.#exchange(command, signal),
    )
  }

  /**
   * Has commands carried out that change something, in order.
   *
   * @throws `CommandRefused` naming the first that was refused; those after it in the same request were tried all the same
   */
  async change(commands: readonly string[]): Promise<void> {
    for (const request of packCommands(commands)) {
      const answer = await this.ask(request.join(';'))
      // A command with a payload may answer with several paragraphs.
      const answers = request.length === 1 ? [answer.trim()] : splitAnswers(answer)
      for (const [index, command] of request.entries()) {
        const said = answers[index] ?? ''
        const refused = !DONE.test(said) || (said.startsWith('Committing') && !said.includes('Success!'))
        if (refused) {
          throw lbErrors.CommandRefused({
            object: command.split('\n')[0] ?? '',
            message: `HAProxy says: ${said.slice(0, 300)}`,
          })
        }
      }
    }
  }

  /** Counters and states of everything, or of one proxy. */
  async statistics(proxy = ''): Promise<StatisticsRow[]> {
    return parseStatistics(await this.ask(`show stat ${proxy === '' ? '-1' : proxy} -1 -1`))
  }

  /** Entries of a stick table. */
  async table(name: string): Promise<TableEntry[]> {
    return parseTable(await this.ask(`show table ${name}`))
  }

  /** How many connections HAProxy has, and other facts about its process. */
  async facts(): Promise<Readonly<Record<string, string>>> {
    const lines = (await this.ask('show info')).split('\n')
    return Object.fromEntries(
      lines.filter(line => line.includes(':')).map(line => line.split(/:\s*/, 2) as [string, string]),
    )
  }

  async #exchange(request: string, signal: AbortSignal): Promise<string> {
    const socket = this.#socket()
    const connection = createConnection(socket)
    const onAbort = () => connection.destroy(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      connection.write(`${request}\n`)
      const chunks: Buffer[] = []
      let size = 0
      for await (const chunk of connection as AsyncIterable<Buffer>) {
        size += chunk.length
        if (size > LONGEST_ANSWER) {
          throw lbErrors.CommandRefused({
            object: request.slice(0, 60),
            expected: `an answer below ${LONGEST_ANSWER} bytes`,
          })
        }
        chunks.push(chunk)
      }
      return Buffer.concat(chunks).toString('utf8')
    } catch (cause) {
      if (signal.aborted || lbErrors.CommandRefused().code === (cause as { code?: string }).code) throw cause
      throw lbErrors.NotRunning({ object: socket, cause })
    } finally {
      signal.removeEventListener('abort', onAbort)
      connection.destroy()
    }
  }
}
