/** Whether this host reaches anybody: asked at the moment when a verdict depends on it, not remembered. */
import { httpGet } from '../../kit/index.ts'
import type { HealthVerdict } from '../../protocol/index.ts'
import { BEACON_PORT } from './check-model.ts'

/** Milliseconds until somebody must have answered. */
const DEADLINE = 500

/** How many are asked at once. */
const ASKED = 5

export interface OtherHost {
  readonly hostUuid: string
  readonly address: string
}

/** Somebody who answered. */
type Proof = NonNullable<HealthVerdict['proof']>

function shuffled<T>(values: readonly T[]): T[] {
  return values
    .map(value => ({ value, order: Math.random() }))
    .toSorted((a, b) => a.order - b.order)
    .map(({ value }) => value)
}

function beaconAnswers({ hostUuid, address }: OtherHost, port: number, signal: AbortSignal): Promise<Proof> {
  return new Promise((resolve, reject) => {
    const request = httpGet({ host: address, port, agent: false, signal }, response => {
      response.resume()
      if (response.statusCode === 200) resolve({ hostUuid })
      else reject(new Error(`status ${response.statusCode}`))
    })
    request.on('error', reject)
  })
}

/**
 * Asks some of the other hosts whether they are there; one answer is enough.
 *
 * @returns who answered first; undefined when nobody did in half a second
 */
export async function proveConnectivity(
  others: readonly OtherHost[],
  port = BEACON_PORT,
): Promise<Proof | undefined> {
  const enough = new AbortController()
  const signal = AbortSignal.any([enough.signal, AbortSignal.timeout(DEADLINE)])
  try {
    return await Promise.any(
      shuffled(others)
        .slice(0, ASKED)
        .map(other => beaconAnswers(other, port, signal)),
    )
  } catch {
    return undefined
  } finally {
    enough.abort()
  }
}
