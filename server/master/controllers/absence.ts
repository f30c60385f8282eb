/** What is to be changed or removed may be gone by then, and that is fine. */
import { StatusError } from '../apiserver/index.ts'

/** Does `work`, unless what it is about is not there any more. @throws whatever else it throws */
export async function unlessAbsent(work: () => Promise<unknown>): Promise<void> {
  try {
    await work()
  } catch (error) {
    if (!(error instanceof StatusError) || error.reason !== 'NotFound') throw error
  }
}
