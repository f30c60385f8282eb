/** A load balancer as a model of HAProxy. Pure: metadata in, model out. */

import { explainError } from '../../kit/index.ts'
import {
  assignSlots,
  type Backend,
  DEFAULT_DEFAULTS,
  DEFAULT_GLOBAL,
  type Frontend,
  type HaproxyModel,
  type HostMatch,
  NO_HTTP_CLIENT,
  type PathMatch,
  type RoutingRule,
  type ServerCheck,
  type Stickiness,
} from '../../lb/index.ts'
import {
  BALANCER_HEALTH_PORT,
  type BalancerConfig,
  type BalancerProtocol,
  certificateNames,
  type MetadataHealthCheck,
  type ServiceInfo,
} from '../../protocol/index.ts'
import { serverCheckOf } from '../health/index.ts'
import type { ModelReader } from '../metadata/index.ts'
import { backendNameOf, oldBackendName } from './backend-names.ts'
import {
  type CustomConfig,
  logsRequests,
  mergeLines,
  parseCustomConfig,
  splitServerParameters,
} from './custom-config.ts'
import { endpointsOf, localityOf } from './endpoints.ts'
import { compareRules, hostMatchOf, type OrderedRule, pathMatchOf } from './matching.ts'
import { type TargetedRule, targetedRules } from './targets.ts'

export interface BalancerInput {
  readonly service: ServiceInfo
  readonly reader: ModelReader
  /** Where the balancer's container runs. */
  readonly hostUuid: string
  /** Certificates with their keys, by name. */
  readonly certificates: ReadonlyMap<string, string>
  /** The model before: endpoints keep their slots. */
  readonly previous: HaproxyModel | undefined
}

export interface BalancerOutput {
  readonly model: HaproxyModel
  /** What cannot be carried out, for people; the rest is. */
  readonly problems: readonly string[]
  /** The environments whose objects matter. */
  readonly environments: ReadonlySet<string>
}

/** Everything for one backend. */
interface Group extends OrderedRule {
  readonly name: string
  readonly oldName: string
  readonly port: number
  readonly protocol: BalancerProtocol
  readonly rules: readonly TargetedRule[]
}

const isHttp = (protocol: BalancerProtocol) => protocol === 'http' || protocol === 'https'
const readsHost = (protocol: BalancerProtocol) => isHttp(protocol) || protocol === 'sni'

/** Rules for the same port, host and path share a backend. */
function groupsOf(rules: readonly TargetedRule[], problems: string[]): Group[] {
  const groups = new Map<string, Group>()
  for (const rule of rules) {
    const { protocol, sourcePort: port } = rule
    const host = readsHost(protocol) ? hostMatchOf(rule.hostname) : undefined
    const path = isHttp(protocol) ? pathMatchOf(rule.path) : undefined
    if (host === 'invalid' || path === 'invalid') {
      const wrong = host === 'invalid' ? `host ${rule.hostname}` : `path ${rule.path}`
      problems.push(`rule ${rule.index + 1}: no request can have the ${JSON.stringify(wrong.slice(0, 200))}`)
      continue
    }
    const key = {
      port,
      host: host === undefined ? '' : `${host.kind} ${host.value}`,
      path: path?.value ?? '',
    }
    const id = JSON.stringify(key)
    const present = groups.get(id)
    const hostText = host === undefined ? '' : (rule.hostname ?? '').trim().toLowerCase()
    groups.set(id, {
      name: present?.name ?? backendNameOf({ ...key, host: hostText }, rule.backendName),
      oldName: oldBackendName({ ...key, host: hostText }),
      ...{ port, protocol, host, path },
      index: present?.index ?? rule.index,
      priority: lowest(present?.priority, rule.priority),
      rules: [...(present?.rules ?? []), rule],
    })
  }
  return [...groups.values()].toSorted(compareRules)
}

function lowest(a: number | undefined, b: number | undefined): number | undefined {
  return a === undefined ? b : b === undefined ? a : Math.min(a, b)
}

/** The check that all targets have in common; undefined when they have none, or are checked differently. */
function commonCheck(
  checks: readonly (MetadataHealthCheck | undefined)[],
  problems: string[],
): ServerCheck | undefined {
  const [first, ...others] = checks
  if (first === undefined || first.port < 1) return undefined
  const same = JSON.stringify(first)
  if (others.some(other => JSON.stringify(other) !== same)) return undefined
  try {
    return serverCheckOf(first)
  } catch (error) {
    problems.push(`health check of a target: ${explainError(error)}`)
    return undefined
  }
}

function stickinessOf(
  { stickinessPolicy }: BalancerConfig,
  backend: string,
  key: string,
): Stickiness | undefined {
  if (stickinessPolicy === undefined) return undefined
  const { cookie, mode = 'insert', domain, indirect, nocache, postonly } = stickinessPolicy
  return {
    cookie: cookie || backend.replace(/[^A-Za-z0-9_.-]/g, '_'),
    ...{ mode, key },
    ...(indirect === true ? { indirect } : {}),
    ...(nocache === true ? { nocache } : {}),
    ...(postonly === true ? { postonly } : {}),
    ...(domain ? { domain } : {}),
  }
}

function backendsOf(
  groups: readonly Group[],
  input: BalancerInput,
  custom: CustomConfig,
  problems: string[],
): Backend[] {
  const { service, previous, hostUuid } = input
  const byName = Map.groupBy(groups, ({ name }) => name)
  const locality = localityOf(service)
  return [...byName].map(([name, members]): Backend => {
    const rules = members.flatMap(member => member.rules)
    const [first] = members
    const http = isHttp(first?.protocol ?? 'tcp')
    const check = commonCheck(
      rules.flatMap(rule => rule.checks),
      problems,
    )
    const endpoints = endpointsOf(
      rules.flatMap(rule => rule.targets),
      locality,
      hostUuid,
      check !== undefined,
    )
    const own = [...new Set(['', name, ...members.map(({ oldName }) => oldName)])]
    const { lines, parameters } = splitServerParameters(own.flatMap(key => custom.backends.get(key) ?? []))
    const names = uniqueNames(rules.flatMap(rule => rule.names))
    const stickiness =
      http && service.lbConfig ? stickinessOf(service.lbConfig, name, service.uuid) : undefined
    return {
      name,
      mode: http ? 'http' : 'tcp',
      balance: 'roundrobin',
      slots: assignSlots(previous?.backends.find(backend => backend.name === name)?.slots, endpoints),
      ...(names.length === 0 ? {} : { names }),
      ...(check === undefined ? {} : { check }),
      ...(stickiness === undefined ? {} : { stickiness }),
      ...(lines.length === 0 ? {} : { custom: lines }),
      ...(parameters === '' ? {} : { serverParameters: parameters }),
    }
  })
}

function uniqueNames<Name extends { readonly host: string; readonly port: number }>(
  names: readonly Name[],
): Name[] {
  return [...new Map(names.map(name => [`${name.host.toLowerCase()} ${name.port}`, name])).values()]
}

function frontendOf(
  port: number,
  groups: readonly Group[],
  input: BalancerInput,
  custom: CustomConfig,
  problems: string[],
): Frontend | undefined {
  const protocol = groups[0]?.protocol ?? 'tcp'
  const lines = custom.frontends.get(String(port)) ?? []
  const acceptProxy = lines.includes('accept-proxy')
  const own = lines.filter(line => line !== 'accept-proxy')
  const encrypted = protocol === 'https' || protocol === 'tls'
  const config = input.service.lbConfig
  const names =
    config === undefined ? [] : certificateNames(config).filter(name => input.certificates.has(name))
  if (encrypted && names.length === 0) {
    problems.push(`port ${port}: none of its certificates is there`)
    return undefined
  }
  const tls = {
    certificates: names,
    strictSni: config?.defaultCertificate === undefined || !names.includes(config.defaultCertificate),
    ...(protocol === 'https' ? { alpn: ['h2', 'http/1.1'] } : {}),
  }
  const unconditional = groups.findIndex(({ host, path }) => host === undefined && path === undefined)
  // What stands behind a rule for everything is never asked.
  const asked = unconditional < 0 ? groups : groups.slice(0, unconditional)
  const rules = asked.map(({ host, path, name }): RoutingRule => conditional(host, path, name))
  const last = groups[unconditional]?.name
  return {
    name: String(port),
    mode: isHttp(protocol) ? 'http' : 'tcp',
    ...(protocol === 'sni' ? { sni: true } : {}),
    ...(isHttp(protocol) ? { forwarded: protocol as 'http' | 'https' } : {}),
    binds: [{ address: '*', port, ...(encrypted ? { tls } : {}), ...(acceptProxy ? { acceptProxy } : {}) }],
    rules,
    ...(last === undefined ? {} : { defaultBackend: last }),
    ...(own.length === 0 ? {} : { custom: own }),
  }
}

function conditional(host: HostMatch | undefined, path: PathMatch | undefined, backend: string): RoutingRule {
  return { ...(host === undefined ? {} : { host }), ...(path === undefined ? {} : { path }), backend }
}

/** Answers whoever asks whether the balancer itself is there. */
export const BALANCER_HEALTH_FRONTEND = 'drover-health'

const HEALTH_FRONTEND: Frontend = {
  name: BALANCER_HEALTH_FRONTEND,
  mode: 'http',
  binds: [{ address: '*', port: BALANCER_HEALTH_PORT }],
  rules: [],
  custom: ['http-request return status 200 content-type text/plain string ok'],
}

/** The worker needs no rights once it listens. */
const GLOBAL = [...DEFAULT_GLOBAL, 'user haproxy', 'group haproxy']

/** Scripts of a user's own may speak HTTP, and then look whom they speak to. */
function globalLines(custom: CustomConfig): readonly string[] {
  const scripts = custom.global.some(line => line.startsWith('lua-'))
  return scripts ? GLOBAL.filter(line => line !== NO_HTTP_CLIENT) : GLOBAL
}

export function balancerModel(input: BalancerInput): BalancerOutput {
  const { service, reader, certificates } = input
  const targeted = targetedRules(reader, service)
  const custom = parseCustomConfig(service.lbConfig?.config ?? '')
  const problems = [...targeted.problems, ...custom.problems]
  const wanted = service.lbConfig === undefined ? [] : certificateNames(service.lbConfig)
  for (const name of wanted) if (!certificates.has(name)) problems.push(`certificate ${name} is not there`)
  const rules = targeted.rules.filter(({ protocol }) => protocol !== 'udp')
  const groups = groupsOf(rules, problems)
  const backends = backendsOf(groups, input, custom, problems)
  const frontends = [...Map.groupBy(groups, ({ port }) => port)].flatMap(([port, members]) => {
    return frontendOf(port, members, input, custom, problems) ?? []
  })
  const used = new Set(
    frontends.flatMap(({ rules, defaultBackend }) => [...rules.map(rule => rule.backend), defaultBackend]),
  )
  const lines = [...custom.defaults, ...[...custom.frontends.values()].flat()]
  const accessLog = lines.some(logsRequests)
  return {
    model: {
      frontends: [HEALTH_FRONTEND, ...frontends.toSorted((a, b) => Number(a.name) - Number(b.name))],
      backends: backends.filter(({ name }) => used.has(name)),
      certificates: wanted.flatMap(name => {
        const pem = certificates.get(name)
        return pem === undefined ? [] : [{ name, pem }]
      }),
      maps: [],
      global: mergeLines(globalLines(custom), custom.global),
      defaults: mergeLines([...DEFAULT_DEFAULTS, ...(accessLog ? ['log global'] : [])], custom.defaults),
      sections: custom.sections,
      ...(accessLog ? { accessLog } : {}),
    },
    problems: [...new Set(problems)],
    environments: targeted.environments,
  }
}
