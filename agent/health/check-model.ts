/** Checks as a model of HAProxy: a backend for each kind of check, a slot for each container. */
import { createHash } from 'node:crypto'
import {
  assignSlots,
  type Backend,
  type HaproxyModel,
  NO_HTTP_CLIENT,
  parseCheckRequest,
  type ServerCheck,
} from '../../lb/index.ts'
import type { MetadataHealthCheck } from '../../protocol/index.ts'
import type { CheckTarget } from './targets.ts'

/** Where every host answers other hosts that want to know whether their network works. */
export const BEACON_PORT = 9348

/** HAProxy's own bounds; a compose file may say anything. */
const atLeastOne = (value: number, maximum: number) => Math.min(Math.max(Math.trunc(value), 1), maximum)

/**
 * The check in HAProxy's words.
 *
 * @throws `InvalidModel` for a request line that is not one request
 */
export function serverCheckOf(check: MetadataHealthCheck): ServerCheck {
  const { requestLine = '' } = check
  return {
    port: check.port,
    interval: atLeastOne(check.interval, 86_400_000),
    timeout: atLeastOne(check.responseTimeout, 86_400_000),
    rise: atLeastOne(check.healthyThreshold, 1000),
    fall: atLeastOne(check.unhealthyThreshold, 1000),
    ...(requestLine.trim() === '' ? {} : { request: parseCheckRequest(requestLine) }),
  }
}

/** What a slot stands for: one run of a container. */
export function slotId({ containerUuid, epoch }: CheckTarget): string {
  return `${containerUuid}/${epoch}`
}

/** Containers that are checked the same way share a backend: their coming and going needs no reload then. */
export function backendNameOf(check: ServerCheck): string {
  return `check-${createHash('sha256').update(JSON.stringify(check)).digest('hex').slice(0, 16)}`
}

export interface CheckModelInput {
  readonly targets: readonly (CheckTarget & { readonly serverCheck: ServerCheck })[]
  /** Slots whose containers are up as far as is known; the others start as down. */
  readonly up: (slot: string) => boolean
  /** Where the beacon listens. */
  readonly address: string
  /** The model before, whose slots are kept. */
  readonly previous: HaproxyModel | undefined
}

export function checkModel({ targets, up, address, previous }: CheckModelInput): HaproxyModel {
  const kinds = new Map<string, (typeof targets)[number][]>()
  for (const target of targets) {
    const name = backendNameOf(target.serverCheck)
    const kind = kinds.get(name)
    if (kind === undefined) kinds.set(name, [target])
    else kind.push(target)
  }
  const backends = [...kinds.keys()].toSorted().map((name): Backend => {
    const members = kinds.get(name) ?? []
    const check = members[0]?.serverCheck
    const endpoints = members.map(target => {
      const id = slotId(target)
      return {
        id,
        address: target.address,
        port: target.check.port,
        weight: 1,
        initially: up(id) ? ('up' as const) : ('down' as const),
      }
    })
    return {
      name,
      mode: check?.request === undefined ? 'tcp' : 'http',
      balance: 'roundrobin',
      slots: assignSlots(previous?.backends.find(backend => backend.name === name)?.slots, endpoints),
      ...(check === undefined ? {} : { check }),
      logChecks: true,
      // The limit for connecting is not `timeout check`, which counts from then on.
      custom: [`timeout connect ${check?.timeout ?? 2000}ms`],
    }
  })
  return {
    frontends: [
      {
        name: 'beacon',
        mode: 'http',
        binds: [{ address, port: BEACON_PORT }],
        rules: [],
        custom: ['maxconn 200', 'http-request return status 200 content-type text/plain string here'],
      },
    ],
    backends,
    ...{ certificates: [], maps: [], sections: [] },
    global: [NO_HTTP_CLIENT, 'maxconn 1000', 'hard-stop-after 5s'],
    defaults: ['timeout connect 2s', 'timeout client 5s', 'timeout server 5s', 'timeout http-request 2s'],
  }
}
