import { defineErrors } from '../../kit/index.ts'

export const runtimeErrors = defineErrors({
  InvalidPod: { status: 422, message: 'cannot be run' },
  MissingInput: { status: 404, message: 'refers to what is not there' },
  MissingToken: { status: 503, message: 'has no token of its service account yet' },
  SandboxFailed: { status: 500, message: 'could not get its network' },
})
