import { defineErrors } from '../../kit/index.ts'

export const controllerErrors = defineErrors({
  NoAddressBlock: {
    status: 507,
    message: 'has no free address block',
    mend: 'remove hosts that are gone, or create the cluster with a larger block',
  },
  BeingRemoved: {
    status: 409,
    message: 'is being removed',
    mend: 'wait until it is gone, or join another cluster',
  },
  NotOnHost: { status: 403, message: 'does not run on this host' },
})
