/** Where pods reach the API of their cluster: an address, because endpoints of services have no names. */
import { lookup } from 'node:dns/promises'
import { atMost, explainError, type Logger } from '../kit/index.ts'
import type { ApiEndpoint } from './master/index.ts'

/** Milliseconds in which a name must be resolved. */
const LOOKUP_DEADLINE = 5_000
const HTTPS_PORT = 443

/**
 * @param advertised URL by which others reach this server
 * @returns undefined when its name stands for no address of IPv4; the service `kubernetes` leads nowhere then
 */
export async function apiEndpoint(advertised: string, log: Logger): Promise<ApiEndpoint | undefined> {
  const { hostname, port } = new URL(advertised)
  try {
    const resolving = lookup(hostname, { family: 4 })
    const { address } = await atMost(LOOKUP_DEADLINE, `address of ${hostname}`, resolving)
    return { address, port: port === '' ? HTTPS_PORT : Number(port) }
  } catch (error) {
    log.warn(
      { reason: explainError(error) },
      `pods will not reach the Kubernetes API by its service: ${hostname} has no IPv4 address`,
    )
    return undefined
  }
}
