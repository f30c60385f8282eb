/** What can go wrong with whole clusters, with stable codes. Refused requests are in `apiserver/status.ts`. */
import { defineErrors } from '../../kit/index.ts'

export const masterErrors = defineErrors({
  ReservedName: { status: 422, message: 'this name is reserved', mend: 'choose another name' },
  UnknownVersion: {
    status: 422,
    message: 'this version of Kubernetes is not served here',
    mend: 'choose one that is, or start a newer server',
  },
  Stopping: { status: 503, message: 'the master is stopping', mend: 'try again when it runs again' },
})
