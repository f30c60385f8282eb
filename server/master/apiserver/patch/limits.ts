/** Bounds on patches: a small text must not cost much stack, time or memory. */
import { badRequest, StatusError } from '../status.ts'

/** Far deeper than any kind, far shallower than the stack. */
export const DEPTH_LIMIT = 200
/** As in Kubernetes (`maxJSONPatchOperations`). */
export const OPERATIONS_LIMIT = 10_000
/** Bytes that `copy` may add in total: a few copies of copies would otherwise fill the memory. */
export const COPY_LIMIT = 3 * 1024 * 1024

/** @throws `BadRequest` */
export function checkDepth(depth: number): void {
  if (depth > DEPTH_LIMIT) throw badRequest(`the patch is nested more than ${DEPTH_LIMIT} levels deep`)
}

/** A patch that can be read but not applied to this object. */
export function unprocessable(message: string): StatusError {
  return new StatusError('Invalid', `the patch could not be applied: ${message}`)
}
