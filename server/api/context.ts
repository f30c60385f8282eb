/** What the types of the API work with. */

import type { BalancerStatistics, NetworkReport, RuntimeReport } from '../../protocol/index.ts'
import type { RegistrationTokens } from '../auth/index.ts'
import type { ComposeExecutor } from '../compose/index.ts'
import type { CheckerState, ClusterController } from '../controller/index.ts'
import type { Container, Model } from '../model/index.ts'

/** Where and with what a client opens a stream to a host: `hostAccess` of the API. */
export interface HostAccess {
  /** A websocket URL; the client adds `?token=`. */
  readonly url: string
  /** Valid for a few minutes, for this one stream. */
  readonly token: string
}

/** Grants streams to hosts. */
export interface HostAccessIssuer {
  /** @param keyId the API key with which the stream ends */
  grant(
    kind: 'exec' | 'logs',
    container: Container,
    params: Readonly<Record<string, unknown>>,
    keyId: string,
  ): HostAccess
}

/** What hosts say about themselves; undefined while a host is not connected, or has not said anything yet. */
export interface HostReports {
  networkReport(hostId: string): NetworkReport | undefined
  runtimeReport(hostId: string): RuntimeReport | undefined
}

/** What those who check containers say. */
export interface ContainerChecks {
  checkerStates(container: Container): readonly CheckerState[]
}

/** What balancers have done. */
export interface BalancerMeasures {
  statistics(container: Container): readonly BalancerStatistics[]
}

export interface ApiContext {
  readonly model: Model
  readonly clusters: ClusterController
  readonly registrationTokens: RegistrationTokens
  readonly compose: ComposeExecutor
  readonly hostAccess: HostAccessIssuer
  readonly hostReports: HostReports
  readonly health: ContainerChecks
  readonly balancers: BalancerMeasures
  /** Encrypts the private key of a certificate for the store. */
  readonly sealKey: (privateKey: string) => string
  /** Where agents reach this server: an https URL without a final slash. */
  readonly advertisedUrl: string
}
