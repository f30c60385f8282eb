/** `lb_config:` of a load balancer, and of services that balancers choose by their labels. */
import {
  BALANCER_CONFIG_LIMIT,
  BALANCER_PROTOCOLS,
  type BalancerConfig,
  type BalancerProtocol,
  type BalancerTargetConfig,
  balancerConfigProblem,
  type PortRule,
  type StickinessPolicy,
  type TargetRule,
} from '../../protocol/index.ts'
import {
  child,
  type PlacedValue,
  readBoolean,
  readInteger,
  readList,
  readMap,
  readText,
  readTextList,
} from './value-readers.ts'

type Readers<T> = Readonly<Record<string, (at: PlacedValue) => Partial<T>>>

/** Reads a map key by key; a key without a value, and an empty text, say nothing. */
function readWith<T>(at: PlacedValue, readers: Readers<T>): Partial<T> {
  let result: Partial<T> = {}
  for (const [key, value] of Object.entries(readMap(at))) {
    const reader = readers[key]
    if (reader === undefined) {
      throw at.file.invalid([...at.path, key], 'is not known here', Object.keys(readers).join(', '))
    }
    if (value === null || value === '') continue
    result = { ...result, ...reader(child(at, key)) }
  }
  return result
}

function shortText(at: PlacedValue, maximum: number): string {
  const text = readText(at).trim()
  if (text.length <= maximum) return text
  throw at.file.invalid(at.path, 'is too long', `at most ${maximum} characters`)
}

const port = (at: PlacedValue) => readInteger(at, 1, 65_535)

function readProtocol(at: PlacedValue): BalancerProtocol {
  const text = readText(at).toLowerCase()
  const protocol = BALANCER_PROTOCOLS.find(each => each === text)
  if (protocol !== undefined) return protocol
  throw at.file.invalid(at.path, `is "${text}"`, BALANCER_PROTOCOLS.join(', '))
}

/** 0 stands for none, as in older files. */
function readPriority(at: PlacedValue): Partial<PortRule> {
  const priority = readInteger(at, 0, 1_000_000)
  return priority === 0 ? {} : { priority }
}

const targetReaders: Readers<TargetRule> = {
  hostname: at => ({ hostname: shortText(at, 253) }),
  path: at => ({ path: shortText(at, 1024) }),
  target_port: at => ({ targetPort: port(at) }),
  backend_name: at => ({ backendName: shortText(at, 120) }),
}

const ruleReaders: Readers<PortRule> = {
  ...targetReaders,
  source_port: at => ({ sourcePort: port(at) }),
  protocol: at => ({ protocol: readProtocol(at) }),
  service: at => ({ service: shortText(at, 512) }),
  container: at => ({ container: shortText(at, 256) }),
  selector: at => ({ selector: shortText(at, 1024) }),
  priority: readPriority,
  weight: at => ({ weight: readInteger(at, 0, 256) }),
}

const stickinessReaders: Readers<StickinessPolicy> = {
  name: at => ({ name: shortText(at, 120) }),
  cookie: at => ({ cookie: shortText(at, 120) }),
  domain: at => ({ domain: shortText(at, 253) }),
  indirect: at => ({ indirect: readBoolean(at) }),
  nocache: at => ({ nocache: readBoolean(at) }),
  postonly: at => ({ postonly: readBoolean(at) }),
  mode: at => {
    const mode = readText(at)
    if (mode === 'rewrite' || mode === 'insert' || mode === 'prefix') return { mode }
    throw at.file.invalid(at.path, `is "${mode}"`, 'rewrite, insert or prefix')
  },
}

interface FileRule extends PortRule {
  readonly environment?: string
}

/** A service of another environment is called by both names. */
function readRule(at: PlacedValue): PortRule {
  const { environment, ...rule } = readWith<FileRule>(at, {
    ...ruleReaders,
    environment: place => ({ environment: shortText(place, 255) }),
    region: place => {
      throw place.file.invalid(place.path, 'names a region', 'environments of the same server')
    },
  })
  const { sourcePort, service } = rule
  if (sourcePort === undefined)
    throw at.file.invalid(at.path, 'has no source_port', 'source_port: 1 to 65535')
  if (environment === undefined) return { protocol: 'http', ...rule, sourcePort }
  if (service === undefined || !/^[^/]+\/[^/]+$/.test(service) || environment.includes('/')) {
    throw at.file.invalid(
      at.path,
      'names another environment without a service of it',
      'service: stack/service',
    )
  }
  return { protocol: 'http', ...rule, sourcePort, service: `${environment}/${service}` }
}

const configReaders: Readers<BalancerConfig> = {
  port_rules: at => ({ portRules: readList(at).map(readRule) }),
  certs: at => ({ certificates: [...readTextList(at)] }),
  default_cert: at => ({ defaultCertificate: shortText(at, 255) }),
  config: at => ({ config: shortText(at, BALANCER_CONFIG_LIMIT) }),
  stickiness_policy: at => ({ stickinessPolicy: readWith(at, stickinessReaders) }),
}

/**
 * What the balancer is to do.
 *
 * @param labels of its containers
 * @throws `InvalidValue` at the place of what cannot be carried out
 */
export function readBalancerConfig(
  at: PlacedValue,
  labels: Readonly<Record<string, string>>,
): BalancerConfig {
  const config: BalancerConfig = { portRules: [], certificates: [], ...readWith(at, configReaders) }
  const found = balancerConfigProblem(config, labels)
  if (found === undefined) return config
  const place = found.rule === undefined ? at.path : [...at.path, 'port_rules', found.rule]
  throw at.file.invalid(place, found.problem, found.expected)
}

/** What a service asks of the balancers that choose it. */
export function readBalancerTarget(at: PlacedValue): BalancerTargetConfig {
  const readers: Readers<BalancerTargetConfig> = {
    port_rules: rules => ({ portRules: readList(rules).map(rule => readWith(rule, targetReaders)) }),
  }
  return { portRules: [], ...readWith(at, readers) }
}
