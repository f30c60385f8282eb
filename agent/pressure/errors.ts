import { defineErrors } from '../../kit/index.ts'

export const pressureErrors = defineErrors({
  InvalidSettings: {
    status: 400,
    message: 'does not say when the host has too little',
    mend: 'see agent/pressure/README.md for what the file may say, or remove it: then the defaults hold',
  },
})
