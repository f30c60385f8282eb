import { defineErrors } from '../../kit/index.ts'

export const modelErrors = defineErrors({
  NotFound: { status: 404, message: 'does not exist' },
  NotUnique: { status: 422, message: 'is in use already', mend: 'choose another name' },
})
