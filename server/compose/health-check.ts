/** `health_check:` of a service. */
import { parseCheckRequest } from '../../lb/index.ts'
import { type HealthCheck, healthCheckDefaults } from '../model/index.ts'
import { child, type PlacedValue, readInteger, readMap, readText } from './value-readers.ts'

/** Milliseconds; longer than a day is a mistake. */
const LONGEST = 86_400_000
const MOST = 1_000

type Reader = (at: PlacedValue) => Partial<HealthCheck>

function readRequestLine(at: PlacedValue): Partial<HealthCheck> {
  const requestLine = at.value === null ? '' : readText(at).trim()
  if (requestLine === '') return {}
  if (!isRequestLine(requestLine)) {
    throw at.file.invalid(at.path, 'is not one request', 'a request such as GET /ping HTTP/1.0')
  }
  return { requestLine }
}

/** Whether checkers can send it. */
export function isRequestLine(text: string): boolean {
  try {
    parseCheckRequest(text)
    return text.length <= 1024
  } catch {
    return false
  }
}

function readStrategy(at: PlacedValue): Partial<HealthCheck> {
  const strategy = readText(at)
  if (strategy === 'recreate' || strategy === 'none' || strategy === 'recreateOnQuorum') return { strategy }
  throw at.file.invalid(at.path, `is "${strategy}"`, 'recreate, none or recreateOnQuorum')
}

function readQuorum(at: PlacedValue): Partial<HealthCheck> {
  const { quorum, ...others } = readMap(at)
  const [other] = Object.keys(others)
  if (other !== undefined) throw at.file.invalid([...at.path, other], 'is not known here', 'only quorum')
  return quorum === undefined ? {} : { quorum: readInteger(child(at, 'quorum'), 1, 10_000) }
}

const readers: Readonly<Record<string, Reader>> = {
  port: at => ({ port: readInteger(at, 1, 65_535) }),
  request_line: readRequestLine,
  interval: at => ({ interval: readInteger(at, 100, LONGEST) }),
  response_timeout: at => ({ responseTimeout: readInteger(at, 10, LONGEST) }),
  healthy_threshold: at => ({ healthyThreshold: readInteger(at, 1, MOST) }),
  unhealthy_threshold: at => ({ unhealthyThreshold: readInteger(at, 1, MOST) }),
  initializing_timeout: at => ({ initializingTimeout: readInteger(at, 1, LONGEST) }),
  reinitializing_timeout: at => ({ reinitializingTimeout: readInteger(at, 1, LONGEST) }),
  strategy: readStrategy,
  recreate_on_quorum_strategy_config: readQuorum,
}

/** Reads the health check; what it does not say is as it was in cattle. */
export function readHealthCheck(at: PlacedValue): HealthCheck {
  let check: Partial<HealthCheck> = {}
  for (const key of Object.keys(readMap(at))) {
    const reader = readers[key]
    if (reader === undefined) {
      throw at.file.invalid([...at.path, key], 'is not known here', Object.keys(readers).join(', '))
    }
    check = { ...check, ...reader(child(at, key)) }
  }
  const { port } = check
  if (port === undefined) throw at.file.invalid(at.path, 'says no port', 'port: 1 to 65535')
  return { ...healthCheckDefaults, ...check, port }
}
