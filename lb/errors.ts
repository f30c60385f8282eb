import { defineErrors } from '../kit/index.ts'

export const lbErrors = defineErrors({
  InvalidModel: { status: 422, message: 'cannot be written into a configuration of HAProxy' },
  ConfigurationRefused: {
    status: 422,
    message: 'HAProxy refuses the configuration',
    mend: 'correct the line; what was served before is still served',
  },
  HaproxyMissing: { status: 500, message: 'is not installed', mend: 'install the package haproxy' },
  StartFailed: { status: 500, message: 'HAProxy did not start' },
  ReloadFailed: {
    status: 500,
    message: 'HAProxy did not take the new configuration',
    mend: 'what was served before is still served',
  },
  CommandRefused: { status: 500, message: 'HAProxy refuses the command' },
  NotRunning: { status: 503, message: 'HAProxy does not run', mend: 'try again in a moment' },
  PathTooLong: {
    status: 400,
    message: 'is too long for the path of a unix socket',
    mend: 'name a directory with a shorter path',
  },
})
