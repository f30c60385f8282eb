/** Errors of the master that are not answers to a Kubernetes request: those are in `status.ts`. */
import { defineErrors } from '../../../kit/index.ts'

export const apiServerErrors = defineErrors({
  CorruptTable: {
    status: 500,
    message: 'the generated table of kinds is damaged',
    mend: 'install the program again, or run the generator',
  },
  UnknownVersion: {
    status: 404,
    message: 'no table of kinds has been generated for this version',
    mend: 'run the generator for it',
  },
  UnreadableSource: { status: 422, message: 'is not the document that the generator reads' },
})
