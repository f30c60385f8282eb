import { defineErrors } from '../../kit/index.ts'

/**
 * Errors of the client itself. What the API answers carries the reason of its Status document as code:
 * `NotFound`, `AlreadyExists`, `Conflict`, `Forbidden`, …
 */
export const kubernetesErrors = defineErrors({
  ApiUnreachable: {
    status: 503,
    message: 'the Kubernetes API cannot be reached',
    mend: 'check that the server is running; it is tried again by itself',
  },
})
