/** What can go wrong in the store, with stable codes. */
import { defineErrors } from '../../kit/index.ts'

export const storeErrors = defineErrors({
  NotFound: { status: 404, message: 'does not exist' },
  AlreadyExists: { status: 409, message: 'already exists' },
  Conflict: {
    status: 409,
    message: 'was changed by another write',
    mend: 'read it again, apply the change to what it is now, and write that',
  },
  Expired: {
    status: 410,
    message: 'the revision is no longer in the history',
    mend: 'list again and watch from the revision of that list',
  },
  /** The status is the one that Kubernetes gives to a resourceVersion that is too large. */
  FutureRevision: {
    status: 504,
    message: 'the revision does not exist yet',
    mend: 'list again and watch from the revision of that list',
  },
  /** 507 when the disk is full. The cause says what the database said. */
  WriteFailed: { status: 500, message: 'could not be written', mend: 'try again' },
  TooManyWrites: {
    status: 429,
    message: 'too many writes wait for the disk',
    mend: 'try again in a moment, with fewer writes at the same time',
  },
  ObjectTooLarge: {
    status: 413,
    message: 'is too large to be stored',
    mend: 'split it into several objects',
  },
  NestedWrite: {
    status: 500,
    message: 'was written from inside the encoding of another write',
    mend: 'start the write before or after it',
  },
  InvalidKey: { status: 422, message: 'is not a valid key' },
  InvalidAddress: { status: 422, message: 'is not the address of a database' },
  Stopped: { status: 503, message: 'is not served any more', mend: 'try again in a moment' },
  /** The database answered that it did not do it. 507 when the disk is full. */
  DatabaseRefused: { status: 500, message: 'the database refused' },
  /** The database gave no answer: what was asked may or may not have been done. */
  DatabaseLost: { status: 503, message: 'the database does not answer', mend: 'try again in a moment' },
})
