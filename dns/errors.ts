import { defineErrors } from '../kit/index.ts'

export const dnsErrors = defineErrors({
  UpstreamFailed: { status: 502, message: 'does not answer', mend: 'check the name servers of the host' },
  NoUpstream: {
    status: 503,
    message: 'no name server may be asked',
    mend: 'name one in /etc/resolv.conf of the host that is not on its loopback',
  },
  TooManyQuestions: { status: 503, message: 'too many questions wait for an answer' },
})
