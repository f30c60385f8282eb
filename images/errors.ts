import { defineErrors } from '../kit/index.ts'

export const imageErrors = defineErrors({
  NoStaticBusybox: {
    status: 500,
    message: 'no statically linked busybox was found',
    mend: 'install the package busybox-static',
  },
  NoHaproxy: {
    status: 500,
    message: 'HAProxy was not found',
    mend: 'install the package haproxy',
  },
})
