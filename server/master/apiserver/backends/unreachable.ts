import { explainError } from '../../../../kit/index.ts'
import { StatusError } from '../status.ts'

/** What clients are told when there is no way to what they ask for; what is an answer already, stays as it is. */
export function unreachable(error: unknown): StatusError {
  if (error instanceof StatusError) return error
  return new StatusError(
    'ServiceUnavailable',
    `error trying to reach service: ${explainError(error)}`,
    undefined,
    error,
  )
}
