/** What is to be changed, removed or filled may be going by then, and that is fine. */
import { StatusError, type StatusReason } from '../apiserver/index.ts'

function isRefusal(error: unknown, reason: StatusReason): error is StatusError {
  return error instanceof StatusError && error.reason === reason
}

/** Does `work`, unless what it is about is not there any more. @throws whatever else it throws */
export async function unlessAbsent(work: () => Promise<unknown>): Promise<void> {
  try {
    await work()
  } catch (error) {
    if (!isRefusal(error, 'NotFound')) throw error
  }
}

/**
 * Does `work`, which makes something in a namespace, unless that goes or is gone: what is in it goes with it. A refusal
 * for another reason, by a quota for example, is none of that: whoever asks has to ask again.
 *
 * @throws whatever else it throws
 */
export async function unlessNamespaceEnds(work: () => Promise<unknown>): Promise<void> {
  try {
    await unlessAbsent(work)
  } catch (error) {
    const causes = isRefusal(error, 'Forbidden') ? (error.details?.causes ?? []) : []
    if (!causes.some(({ reason }) => reason === 'NamespaceTerminating')) throw error
  }
}
