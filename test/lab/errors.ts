import { defineErrors } from '../../kit/index.ts'

export const labErrors = defineErrors({
  NoNamespaces: {
    status: 500,
    message: 'namespaces cannot be made here',
    mend: 'run as root on a kernel with network, mount and UTS namespaces',
  },
  DockerDidNotStart: { status: 500, message: 'its Docker engine did not start' },
  LabExists: { status: 409, message: 'is up already', mend: 'take it down first: drover lab down' },
  NoLab: { status: 404, message: 'there is no lab', mend: 'make one: drover lab up 3' },
  HostsMissing: {
    status: 504,
    message: 'not every host became active',
    mend: 'see agent.log in their directories',
  },
  UnusableDirectory: { status: 400, message: 'is below a directory that every host has for itself' },
  NotInTime: { status: 504, message: 'did not happen in time' },
  HostSilent: { status: 503, message: 'takes no connection' },
  UnknownHost: { status: 404, message: 'is not a host of the lab' },
  LeftBehind: { status: 500, message: 'something of the lab is left' },
})
