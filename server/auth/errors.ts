import { defineErrors } from '../../kit/index.ts'

export const authErrors = defineErrors({
  Unauthorized: {
    status: 401,
    message: 'the credentials are missing or not valid',
    mend: 'send an access key and its secret key by HTTP Basic authentication',
  },
  CannotUnseal: {
    status: 500,
    message: 'was not stored with the key of this server',
    mend: 'restore the file server.key that belongs to this database, or store it anew',
  },
  Forbidden: { status: 403, message: 'these credentials may not do that' },
})
