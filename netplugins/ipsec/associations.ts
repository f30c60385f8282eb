/** Security associations as charon lists them (`list-sa` events of VICI). */
import { parseConnectionName } from './connection.ts'
import { listOf, sectionOf, sectionsOf, textOf, type ViciClient, type ViciSection } from './vici/index.ts'

/** One IKE security association with a peer, and what its child carries. */
export interface Association {
  /** Charon's number for it; later ones have higher numbers. */
  readonly id: number
  /** Name of the connection it was made for. */
  readonly name: string
  readonly hostId: string
  /** Of `name`: the credential that this host proved itself with. */
  readonly credential: string
  /** The keys of IKE are agreed upon and both sides have proved themselves. */
  readonly isEstablished: boolean
  /** Still being made. */
  readonly isConnecting: boolean
  /** Pairs of blocks between which packets are carried; empty when none are. */
  readonly localBlocks: readonly string[]
  readonly remoteBlocks: readonly string[]
}

const CONNECTING_STATES = new Set(['CREATED', 'CONNECTING'])

/** While keys are being replaced, the old ones go on carrying. */
const CARRYING_STATES = new Set(['INSTALLED', 'REKEYING', 'REKEYED', 'UPDATING'])

/** Reads one `list-sa` event. Associations that are not ours are left out. */
export function parseAssociations(event: ViciSection): Association[] {
  return sectionsOf(event).flatMap(([name, section]) => {
    const known = parseConnectionName(name)
    const id = Number(textOf(section, 'uniqueid'))
    if (known === undefined || !Number.isSafeInteger(id)) return []
    const state = textOf(section, 'state') ?? ''
    const carrying = sectionsOf(sectionOf(section, 'child-sas'))
      .map(([, child]) => child)
      .filter(child => CARRYING_STATES.has(textOf(child, 'state') ?? ''))
    return [
      {
        id,
        name,
        ...known,
        isEstablished: state === 'ESTABLISHED' || state === 'REKEYING',
        isConnecting: CONNECTING_STATES.has(state),
        localBlocks: carrying.flatMap(child => listOf(child, 'local-ts')),
        remoteBlocks: carrying.flatMap(child => listOf(child, 'remote-ts')),
      },
    ]
  })
}

/** All of ours, by host. @throws `CharonRefused`, `DeadlineExceeded`, `Stopped` */
export async function listAssociations(client: ViciClient): Promise<Map<string, Association[]>> {
  const events = await client.stream('list-sas', 'list-sa', { noblock: 'yes' })
  return Map.groupBy(events.flatMap(parseAssociations), association => association.hostId)
}
