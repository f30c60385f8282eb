/** What a balancer has done, from HAProxy's counters. */

import type { StatisticsRow } from '../../lb/index.ts'
import { BALANCER_PARTS_LIMIT, type BalancerStatistics } from '../../protocol/index.ts'
import { BALANCER_HEALTH_FRONTEND } from './balancer-model.ts'

/** One frontend or backend; columns are those of HAProxy's management guide, 9.1. */
function measure({ proxy, server, columns }: StatisticsRow): BalancerStatistics {
  const number = (name: string) => Math.max(0, Math.trunc(Number(columns[name] ?? 0)) || 0)
  const backend = server === 'BACKEND'
  return {
    name: proxy,
    kind: backend ? 'backend' : 'frontend',
    sessions: number('scur'),
    sessionsTotal: number('stot'),
    requestsTotal: number('req_tot'),
    bytesIn: number('bin'),
    bytesOut: number('bout'),
    responses: {
      '2xx': number('hrsp_2xx'),
      '3xx': number('hrsp_3xx'),
      '4xx': number('hrsp_4xx'),
      '5xx': number('hrsp_5xx'),
    },
    connectionErrors: number(backend ? 'econ' : 'ereq'),
    retries: number('wretr'),
    ...(backend ? { serversUp: number('act'), responseTime: number('rtime') } : {}),
  }
}

/** The balancer's frontends and backends; what is for its own health is left out. */
export function measuresOf(rows: readonly StatisticsRow[]): BalancerStatistics[] {
  return rows
    .filter(
      ({ proxy, server }) =>
        proxy !== BALANCER_HEALTH_FRONTEND && (server === 'FRONTEND' || server === 'BACKEND'),
    )
    .slice(0, BALANCER_PARTS_LIMIT)
    .map(measure)
}
