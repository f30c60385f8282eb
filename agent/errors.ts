import { defineErrors } from '../kit/index.ts'

export const agentErrors = defineErrors({
  NotRegistered: {
    status: 400,
    message: 'belongs to no server yet',
    mend: 'start it with --server URL and --token TOKEN; the server prints both with: drover token',
  },
  OtherServer: {
    status: 409,
    message: 'belongs to another server',
    mend: 'remove it from that one first: drover agent --uninstall, or name another directory with --data',
  },
  NoAddress: {
    status: 400,
    message: 'no address was found by which other hosts can reach this one',
    mend: 'name it with --address',
  },
})
