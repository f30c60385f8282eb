import { defineErrors } from '../kit/index.ts'

export const serverErrors = defineErrors({
  DatabaseUnsupported: {
    status: 501,
    message: 'is not a database that this version can use',
    mend: 'use sqlite:PATH or mysql://USER:PASSWORD@HOST:PORT/DATABASE',
  },
})
