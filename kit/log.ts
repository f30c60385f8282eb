/** Structured logs: one JSON object per line, never a secret. */
import { type DestinationStream, type Logger as PinoLogger, pino } from 'pino'
import { DroverError } from './errors.ts'

export type Logger = Pick<
  PinoLogger,
  'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'isLevelEnabled' | 'level'
> & { child(bindings: Record<string, unknown>): Logger }

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent'

/** Field names that never reach a log, at any of the first levels of a logged object. */
const SECRET_FIELDS = [
  'secretKey',
  'secretValue',
  'token',
  'password',
  'authorization',
  'Authorization',
  'cookie',
  'psk',
  'privateKey',
  'key',
]

function describeError(error: unknown): Record<string, unknown> {
  if (error instanceof DroverError) {
    return {
      code: error.code,
      message: error.message,
      expected: error.expected,
      mend: error.mend,
      cause: error.cause === undefined ? undefined : String(error.cause),
    }
  }
  if (error instanceof Error) return { message: error.message, stack: error.stack }
  return { message: String(error) }
}

/**
 * Makes a logger that writes JSON lines.
 *
 * @param name the daemon or module, in every line
 * @param destination where the lines go; standard error when absent, so that standard output stays a
 *   program's answer
 */
export function createLogger(name: string, level: LogLevel, destination?: DestinationStream): Logger {
  return pino(
    {
      name,
      level,
      base: { name },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: label => ({ level: label }) },
      serializers: { err: describeError },
      redact: {
        paths: SECRET_FIELDS.flatMap(field => [field, `*.${field}`, `*.*.${field}`]),
        censor: '[secret]',
      },
    },
    destination ?? pino.destination({ dest: 2, sync: true }),
  ) as Logger
}
