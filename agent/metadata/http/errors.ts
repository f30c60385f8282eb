import { defineErrors } from '../../../kit/index.ts'

/** What the metadata service answers when it has no value to answer with. The wording is what clients know. */
export const metadataErrors = defineErrors({
  NotFound: { status: 404, message: 'Not found' },
  InvalidPath: { status: 400, message: 'Invalid path' },
  MethodNotAllowed: { status: 405, message: 'Method not allowed' },
  Forbidden: { status: 403, message: 'Forbidden' },
  UnknownRequester: { status: 503, message: 'The container is not known yet', mend: 'try again in a moment' },
  TooManyWaiters: { status: 503, message: 'Too many requests wait for changes', mend: 'try again later' },
})
