/** Stands for the agent of one host in the tests of IPsec: has the overlay, and does what the test orders. */
import { createLogger, explainError } from '../../../kit/index.ts'
import {
  type Credentials,
  type HostCertificate,
  IpsecOverlay,
  type IpsecTimings,
  type SharedKeys,
} from '../../../netplugins/ipsec/index.ts'
import { RouteSocket } from '../../../netplugins/netlink/index.ts'
import type { OverlayState } from '../../../netplugins/overlay/index.ts'

/** Credentials that can be sent to a process; in tests a host's certificate is for its id with `.test`. */
export type SentCredentials = SharedKeys | Omit<HostCertificate, 'identityOf'>

export type HostOrder =
  | {
      readonly kind: 'apply' | 'verify'
      readonly state: OverlayState
      readonly keys: SentCredentials | undefined
    }
  | { readonly kind: 'peerStates' | 'remove' | 'charon' }

export interface HostReply {
  readonly id: number
  readonly value?: unknown
  readonly error?: string
}

const directory = process.env.HOST_DIRECTORY ?? ''
let keys: SentCredentials | undefined

function credentials(): Credentials | undefined {
  return keys?.kind === 'certificate' ? { ...keys, identityOf: peer => `${peer.hostId}.test` } : keys
}

const socket = RouteSocket.open()
const overlay = new IpsecOverlay({
  directory,
  socket,
  credentials,
  changed: () => undefined,
  log: createLogger(process.env.HOST_NAME ?? '', process.env.IPSEC_LOG === undefined ? 'silent' : 'debug'),
  // Peers that are gone are noticed soon.
  timings: {
    deadPeerDelay: 2,
    retransmitDelay: 500,
    retransmissions: 3,
    ...(JSON.parse(process.env.HOST_TIMINGS ?? '{}') as Partial<IpsecTimings>),
  },
})

async function obey(order: HostOrder): Promise<unknown> {
  switch (order.kind) {
    case 'apply':
      keys = order.keys
      return await overlay.apply(order.state)
    case 'verify':
      keys = order.keys
      return await overlay.verify(order.state)
    case 'peerStates':
      return overlay.peerStates()
    case 'remove':
      return await overlay.remove()
    case 'charon':
      return await overlay.charonPid()
  }
}

process.on('message', ({ id, order }: { id: number; order: HostOrder }) => {
  obey(order).then(
    value => process.send?.({ id, value }),
    (error: unknown) => process.send?.({ id, error: explainError(error) }),
  )
})
process.on('disconnect', () => process.exit(0))
process.send?.({ id: 0, value: 'ready' })
