/** Turns the files of a stack into the services that it should have. Pure: nothing is stored here. */

import { type BalancerConfig, type BalancerTargetConfig, LABEL } from '../../protocol/index.ts'
import type { LaunchConfig, Service, ServiceLink } from '../model/index.ts'
import { composeErrors } from './errors.ts'
import { interpolateValue } from './interpolation.ts'
import { readBalancerConfig, readBalancerTarget } from './load-balancer.ts'
import {
  emptyLaunchConfig,
  launchConfigReaders,
  type ReadContext,
  serviceLevelKeys,
  unsupportedKeys,
  unsupportedLabels,
} from './service-keys.ts'
import {
  hasContainers,
  imageOfKind,
  isExternalAddress,
  isExternalName,
  serviceKind,
} from './service-kinds.ts'
import { SourceFile, type ValuePath } from './source-file.ts'
import {
  child,
  type PlacedValue,
  readBoolean,
  readInteger,
  readLink,
  readList,
  readMap,
  readText,
  readTextList,
} from './value-readers.ts'

/** A service as its files describe it. */
export interface ServiceDefinition {
  readonly name: string
  readonly kind: Service['kind']
  readonly externalIps: readonly string[]
  readonly externalHostname?: string
  readonly lbConfig?: BalancerConfig
  readonly lbTargetConfig?: BalancerTargetConfig
  readonly drainTimeout?: number
  readonly scale: number
  readonly launchConfig: LaunchConfig
  readonly secondaryLaunchConfigs: readonly LaunchConfig[]
  readonly serviceLinks: readonly ServiceLink[]
  readonly dependsOn: readonly string[]
  readonly metadata: Readonly<Record<string, unknown>>
  readonly batchSize: number
  readonly startFirst: boolean
}

export interface StackDefinition {
  readonly services: readonly ServiceDefinition[]
}

/** One service before sidekicks are put under their primaries. */
interface SingleDefinition extends Omit<ServiceDefinition, 'secondaryLaunchConfigs'> {
  readonly place: string
}

const MAXIMUM_SCALE = 10_000
/** Milliseconds: an hour. */
const LONGEST_DRAIN = 3_600_000
const SERVICE_NAME = /^[a-zA-Z0-9](?:[a-zA-Z0-9_.-]*[a-zA-Z0-9])?$/
const TOP_LEVEL_IGNORED = new Set(['version', 'services', 'catalog', '.catalog', 'name'])

/** A key nobody knows, or one that is known and not acted on. Extension keys (`x-…`) are the user's own. */
function refuseKey(file: SourceFile, path: ValuePath): void {
  const key = String(path.at(-1))
  if (key.startsWith('x-')) return
  const details = { object: file.placeOfKey(path), field: path.join('.') }
  throw unsupportedKeys.has(key)
    ? composeErrors.UnsupportedKey({
        ...details,
        message: `${path.join('.')} is a key that this version does not act on`,
      })
    : composeErrors.UnknownKey({
        ...details,
        message: `${path.join('.')} is not a key of this format`,
      })
}

function checkTopLevel(file: SourceFile, content: Readonly<Record<string, unknown>>): void {
  for (const [key, value] of Object.entries(content)) {
    if (TOP_LEVEL_IGNORED.has(key) || key.startsWith('x-')) continue
    if (['volumes', 'networks', 'secrets', 'configs', 'containers', 'dependencies'].includes(key)) {
      // `volumes: {}` asks for nothing.
      if (value === null || (typeof value === 'object' && Object.keys(value).length === 0)) continue
      throw composeErrors.UnsupportedKey({
        object: file.placeOfKey([key]),
        field: key,
        message: `${key} is a key that this version does not act on`,
      })
    }
    refuseKey(file, [key])
  }
}

function checkVersion(file: SourceFile, content: Readonly<Record<string, unknown>>): void {
  const { version } = content
  if (version === undefined || /^[23](\.\d+)?$/.test(String(version))) return
  throw file.invalid(['version'], `is "${version}"`, 'version "2"')
}

/** The `services` of one file, with variables replaced. */
function servicesOf(file: SourceFile, context: ReadContext): PlacedValue {
  const root: PlacedValue = { file, path: [], value: file.content }
  const content = readMap(root)
  checkVersion(file, content)
  if (content.services === undefined) {
    throw composeErrors.MissingKey({
      object: file.name,
      field: 'services',
      message: 'services is missing',
      mend: 'put the services under the key "services" and add: version: "2"',
    })
  }
  checkTopLevel(file, content)
  const value = interpolateValue(content.services, context.variables, path =>
    file.placeOfValue(['services', ...path]),
  )
  return { file, path: ['services'], value }
}

function readLaunchConfig(at: PlacedValue, context: ReadContext): Partial<LaunchConfig> {
  let config: Partial<LaunchConfig> = {}
  for (const key of Object.keys(readMap(at))) {
    const reader = launchConfigReaders[key]
    if (reader !== undefined) config = { ...config, ...reader(child(at, key), context) }
    else if (!serviceLevelKeys.has(key)) refuseKey(at.file, [...at.path, key])
  }
  for (const label of Object.keys(config.labels ?? {})) {
    if (!unsupportedLabels.some(prefix => label.startsWith(prefix))) continue
    throw composeErrors.UnsupportedKey({
      object: at.file.placeOfKey([...at.path, 'labels', label]),
      field: label,
      message: `the label ${label} is one that this version does not act on`,
    })
  }
  return config
}

function readExternalAddress(at: PlacedValue): string {
  const address = readText(at)
  if (isExternalAddress(address)) return address
  throw at.file.invalid(at.path, `is "${address}"`, 'an IP address')
}

function readDependsOn(at: PlacedValue): readonly string[] {
  return Array.isArray(at.value) ? readTextList(at) : Object.keys(readMap(at))
}

/** Everything besides the launch config. Absent keys stay absent, so that files can be merged. */
function readServiceLevel(at: PlacedValue): Partial<Omit<SingleDefinition, 'launchConfig' | 'name'>> {
  const map = readMap(at)
  const links = ['links', 'external_links'].flatMap(key =>
    map[key] === undefined ? [] : readList(child(at, key)).map(readLink),
  )
  const strategy = map.upgrade_strategy === undefined ? undefined : child(at, 'upgrade_strategy')
  const strategyMap = strategy === undefined ? {} : readMap(strategy)
  for (const key of Object.keys(strategyMap)) {
    if (strategy !== undefined && !['batch_size', 'start_first', 'interval_millis'].includes(key)) {
      refuseKey(at.file, [...strategy.path, key])
    }
  }
  return {
    ...(map.scale === undefined ? {} : { scale: readInteger(child(at, 'scale'), 0, MAXIMUM_SCALE) }),
    ...(links.length === 0 ? {} : { serviceLinks: links }),
    ...(map.depends_on === undefined ? {} : { dependsOn: readDependsOn(child(at, 'depends_on')) }),
    ...(map.external_ips === undefined
      ? {}
      : { externalIps: readList(child(at, 'external_ips')).map(readExternalAddress) }),
    ...(map.drain_timeout_ms === undefined
      ? {}
      : { drainTimeout: readInteger(child(at, 'drain_timeout_ms'), 0, LONGEST_DRAIN) }),
    ...(map.metadata === undefined ? {} : { metadata: readMap(child(at, 'metadata')) }),
    ...(strategy === undefined || strategyMap.batch_size === undefined
      ? {}
      : { batchSize: readInteger(child(strategy, 'batch_size'), 1, MAXIMUM_SCALE) }),
    ...(strategy === undefined || strategyMap.start_first === undefined
      ? {}
      : { startFirst: readBoolean(child(strategy, 'start_first')) }),
  }
}

function checkName(at: PlacedValue, name: string): void {
  if (SERVICE_NAME.test(name) && name.length <= 63) return
  throw composeErrors.InvalidValue({
    object: at.file.placeOfKey([...at.path, name]),
    field: `services.${name}`,
    message: `"${name}" is not a name for a service`,
    expected:
      'at most 63 letters, digits, dots, hyphens and underscores, with a letter or digit at both ends',
  })
}

/** What a service says of balancing: a balancer how it does it, others what they want of it. */
function readBalancing(
  kind: Service['kind'],
  places: readonly PlacedValue[],
  labels: LaunchConfig['labels'],
): Pick<SingleDefinition, 'lbConfig' | 'lbTargetConfig'> {
  const place = places.findLast(at => readMap(at).lb_config !== undefined)
  if (kind === 'loadBalancerService') {
    const empty = { portRules: [], certificates: [] }
    return { lbConfig: place === undefined ? empty : readBalancerConfig(child(place, 'lb_config'), labels) }
  }
  return place === undefined ? {} : { lbTargetConfig: readBalancerTarget(child(place, 'lb_config')) }
}

/** One service from all the files that mention it; what comes later replaces what came before. */
function readSingle(name: string, places: readonly PlacedValue[], context: ReadContext): SingleDefinition {
  const [first] = places
  if (first === undefined) throw new Error(`service ${name} stands in no file`)
  const config: Partial<LaunchConfig> = Object.assign({}, ...places.map(at => readLaunchConfig(at, context)))
  if (config.image === undefined) {
    throw composeErrors.MissingKey({
      object: first.file.placeOfKey(first.path),
      field: `${first.path.join('.')}.image`,
      message: `${first.path.join('.')} has no image`,
    })
  }
  const level: ReturnType<typeof readServiceLevel> = Object.assign({}, ...places.map(readServiceLevel))
  const kind = serviceKind(config.image)
  const { hostname, ...rest } = config
  const external = kind === 'externalService'
  if (external && level.externalIps === undefined && (hostname === undefined || !isExternalName(hostname))) {
    throw composeErrors.MissingKey({
      object: first.file.placeOfKey(first.path),
      field: `${first.path.join('.')}.external_ips`,
      message: `${first.path.join('.')} is an external service without external_ips or hostname`,
    })
  }
  return {
    kind,
    externalIps: [],
    scale: 1,
    serviceLinks: [],
    dependsOn: [],
    metadata: {},
    batchSize: 1,
    startFirst: false,
    ...level,
    ...readBalancing(kind, places, config.labels ?? {}),
    ...(hasContainers(kind) ? {} : { scale: 0 }),
    ...(external && hostname !== undefined ? { externalHostname: hostname } : {}),
    name,
    launchConfig: {
      ...emptyLaunchConfig,
      ...(external ? rest : config),
      name,
      image: imageOfKind(kind, config.image),
    },
    place: first.file.placeOfKey(first.path),
  }
}

function sidekickNames(definition: SingleDefinition): readonly string[] {
  const label = definition.launchConfig.labels[LABEL.sidekicks] ?? ''
  return label
    .split(',')
    .map(name => name.trim())
    .filter(name => name !== '')
}

function requireService(
  all: ReadonlyMap<string, SingleDefinition>,
  from: SingleDefinition,
  name: string,
): void {
  if (all.has(name)) return
  throw composeErrors.UnknownService({
    object: from.place,
    field: `services.${from.name}`,
    message: `services.${from.name} names the service "${name}", which the file does not have`,
  })
}

/** Puts sidekicks under their primaries and checks that every name that is used exists. */
function assemble(all: ReadonlyMap<string, SingleDefinition>): ServiceDefinition[] {
  const sidekicks = new Set([...all.values()].flatMap(sidekickNames))
  return [...all.values()]
    .filter(definition => !sidekicks.has(definition.name))
    .map(({ place: _place, ...definition }) => {
      const single = all.get(definition.name) as SingleDefinition
      const own = sidekickNames(single)
      for (const name of own) requireService(all, single, name)
      for (const name of definition.dependsOn) requireService(all, single, name)
      for (const link of definition.serviceLinks) {
        if (!link.name.includes('/')) requireService(all, single, link.name)
      }
      const secondary = own.map(name => (all.get(name) as SingleDefinition).launchConfig)
      return { ...definition, secondaryLaunchConfigs: secondary }
    })
}

/**
 * Reads the files of a stack.
 *
 * @param templates file name → text; `docker-compose.yml` and, merged over it by service, `rancher-compose.yml`
 * @param variables values for `${NAME}`
 * @throws `InvalidYaml`, `UnknownKey`, `UnsupportedKey`, `InvalidValue`, `MissingKey`, `UnknownService`, each with
 *   `file:line:column`
 */
export function readStack(
  templates: Readonly<Record<string, string>>,
  variables: Readonly<Record<string, string>>,
): StackDefinition {
  const context: ReadContext = { variables }
  const places = new Map<string, PlacedValue[]>()
  for (const [fileName, text] of Object.entries(templates)) {
    const services = servicesOf(new SourceFile(fileName, text), context)
    for (const name of Object.keys(readMap(services))) {
      checkName(services, name)
      places.set(name, [...(places.get(name) ?? []), child(services, name)])
    }
  }
  const all = new Map([...places].map(([name, at]) => [name, readSingle(name, at, context)]))
  return { services: assemble(all) }
}
