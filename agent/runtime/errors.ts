import { defineErrors } from '../../kit/index.ts'

export const runtimeErrors = defineErrors({
  InvalidPod: { status: 422, message: 'cannot be run' },
  SandboxFailed: { status: 500, message: 'could not get its network' },
})
