import { defineErrors } from '../../kit/index.ts'

export const volumeErrors = defineErrors({
  InvalidVolume: { status: 422, message: 'cannot be mounted' },
  WrongType: { status: 422, message: 'is not what the volume says' },
  UnsafePath: { status: 422, message: 'leads out of its volume' },
})
