/** What charon's log says about an attempt that failed. Texts are those of strongSwan 5.9. */
import type { Failure } from './peer-machine.ts'
import { textOf, type ViciSection } from './vici/index.ts'

const MEANINGS: readonly { readonly pattern: RegExp; readonly failure: Failure }[] = [
  {
    pattern:
      /MAC mismatched|no shared key found|no trusted .* public key found|signature validation failed|constraint check failed/,
    failure: { reason: 'the peer proved itself with other credentials than ours', isRefusal: true },
  },
  {
    pattern: /received AUTHENTICATION_FAILED/,
    failure: { reason: 'the peer refused our credentials, or does not know this host yet', isRefusal: true },
  },
  {
    pattern: /received NO_PROPOSAL_CHOSEN|no acceptable proposal found/,
    failure: { reason: 'the peer accepts none of our algorithms', isRefusal: false },
  },
  {
    pattern: /received TS_UNACCEPTABLE|no acceptable traffic selectors/,
    failure: { reason: 'the peer does not know the address blocks of this host yet', isRefusal: false },
  },
  {
    pattern: /peer not responding|giving up after \d+ retransmits/,
    failure: { reason: 'the peer does not answer', isRefusal: false },
  },
  {
    pattern: /error writing to socket|unable to (?:send|resolve)/,
    failure: { reason: 'there is no way to the peer', isRefusal: false },
  },
]

/** What a line of charon's log means for the attempt that it is about; undefined for most lines. */
export function failureOf(line: string): Failure | undefined {
  return MEANINGS.find(({ pattern }) => pattern.test(line))?.failure
}

/** A `log` event of VICI: which connection it is about, and what it means; undefined when it means nothing. */
export function parseLogEvent(event: ViciSection): { name: string; failure: Failure } | undefined {
  const name = textOf(event, 'ikesa-name')
  const failure = failureOf(textOf(event, 'msg') ?? '')
  return name === undefined || failure === undefined ? undefined : { name, failure }
}
