import { defineErrors } from '../../kit/index.ts'

export const authErrors = defineErrors({
  Unauthorized: {
    status: 401,
    message: 'the credentials are missing or not valid',
    mend: 'send an access key and its secret key by HTTP Basic authentication',
  },
  Forbidden: { status: 403, message: 'these credentials may not do that' },
})
