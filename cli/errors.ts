import { defineErrors } from '../kit/index.ts'

export const cliErrors = defineErrors({
  NotConfigured: {
    status: 400,
    message: 'no server is known',
    mend: 'start one with: drover quickstart, or set DROVER_URL, DROVER_ACCESS_KEY and DROVER_SECRET_KEY',
  },
  ServerUnreachable: {
    status: 503,
    message: 'cannot be reached',
    mend: 'check that the server is running, and its URL',
  },
  NotFound: { status: 404, message: 'does not exist' },
  Ambiguous: { status: 409, message: 'is the name of several things', mend: 'use the id' },
  Failed: { status: 500, message: 'failed' },
  NotReady: { status: 504, message: 'is not ready in time' },
  UnreadableFile: { status: 400, message: 'cannot be read' },
  Usage: { status: 400, message: 'cannot be used like this' },
  NotAvailable: { status: 501, message: 'is not available in this version' },
})

/** Exit codes of every command. */
export const EXIT = { done: 0, failed: 1, usage: 2 } as const
