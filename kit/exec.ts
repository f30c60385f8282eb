/** Other programs: argument arrays only, with a deadline and bounded output. */
import { type ExecaOptions, execa } from '#packages'
import { kitErrors } from './errors.ts'

export interface CommandOptions {
  /** Written to the program's standard input, which is then closed. */
  readonly input?: string
  /** Milliseconds after which the program is killed. Default 30 000. */
  readonly deadline?: number
  /** Bytes of output kept per stream; more is an error. Default 16 MiB. */
  readonly maximumOutput?: number
  readonly directory?: string
  /** Added to this process's environment. */
  readonly environment?: Readonly<Record<string, string | undefined>>
  readonly signal?: AbortSignal
  /** Told the program's process id once it has started. */
  readonly onStart?: (processId: number) => void
  /** Exit codes that are answers, not failures. Default [0]. */
  readonly acceptedExitCodes?: readonly number[]
}

export interface CommandResult {
  readonly exitCode: number
  readonly stdout: string
  readonly stderr: string
}

/**
 * Runs a program to its end.
 *
 * @throws `CommandMissing` when it is not installed, `DeadlineExceeded`, or `CommandFailed` with the end of
 *   what it wrote to standard error
 */
export async function runCommand(
  file: string,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<CommandResult> {
  const { deadline = 30_000, maximumOutput = 16 * 1024 * 1024, acceptedExitCodes = [0] } = options
  const execaOptions: ExecaOptions = {
    reject: false,
    timeout: deadline,
    maxBuffer: maximumOutput,
    stripFinalNewline: false,
    killSignal: 'SIGKILL',
    ...(options.input === undefined ? { stdin: 'ignore' } : { input: options.input }),
    ...(options.directory === undefined ? {} : { cwd: options.directory }),
    ...(options.environment === undefined ? {} : { env: options.environment }),
    ...(options.signal === undefined ? {} : { cancelSignal: options.signal }),
  }
  const running = execa(file, args, execaOptions)
  if (running.pid !== undefined) options.onStart?.(running.pid)
  const result = await running
  const object = [file, ...args].join(' ').slice(0, 200)
  const stderr = String(result.stderr ?? '')
  if (result.isCanceled) throw options.signal?.reason
  if (result.timedOut) {
    throw kitErrors.DeadlineExceeded({ object, expected: `an end within ${deadline} ms` })
  }
  if (result.exitCode === undefined || !acceptedExitCodes.includes(result.exitCode)) {
    if (result.code === 'ENOENT') {
      throw kitErrors.CommandMissing({ object: file, mend: `install the package that brings ${file}` })
    }
    const ending = stderr.trim().split('\n').slice(-4).join(' | ').slice(-600)
    const how =
      result.exitCode === undefined
        ? `ended by ${result.signal ?? result.shortMessage}`
        : `exit code ${result.exitCode}`
    throw kitErrors.CommandFailed({
      object,
      message: `the command failed (${how})${ending === '' ? '' : `: ${ending}`}`,
    })
  }
  return { exitCode: result.exitCode, stdout: String(result.stdout ?? ''), stderr }
}
