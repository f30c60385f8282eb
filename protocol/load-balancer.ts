/**
 * What a load balancer is to do, as services say it: the `lbConfig` of a balancer, and the `lbTargetConfig` of services that
 * balancers choose by their labels.
 */
import { type Static, Type } from '../kit/index.ts'
import { LABEL } from './labels.ts'

/** How clients speak to a port, and how it is passed on. */
export const BALANCER_PROTOCOLS = ['http', 'https', 'tcp', 'tls', 'sni', 'udp'] as const

export type BalancerProtocol = (typeof BALANCER_PROTOCOLS)[number]

/** Ports on which a balancer's own health is asked; since 2015 nobody else gets them. */
export const BALANCER_HEALTH_PORT = 42
const RESERVED_BALANCER_PORTS: readonly number[] = [BALANCER_HEALTH_PORT, 10_241]

/** Longest `config` of a balancer, in characters. */
export const BALANCER_CONFIG_LIMIT = 65_536

/** The image that balancers are made from, whatever image was asked for. */
export const BALANCER_IMAGE = 'drover/lb:1'

/** Tells a balancer's HAProxy where its configuration is. */
export const BALANCER_DIRECTORY_VARIABLE = 'DROVER_BALANCER'

const port = Type.Integer({ minimum: 1, maximum: 65_535 })
const optionalText = (maximum: number) => Type.Optional(Type.String({ maxLength: maximum }))

/** A name that a backend may be called by in a balancer's `config`. */
export const BACKEND_NAME = /^[A-Za-z0-9_.:-]{1,120}$/

/** What a service asks of the balancers that choose it. */
export const targetRuleSchema = Type.Object({
  hostname: optionalText(253),
  path: optionalText(1024),
  targetPort: Type.Optional(port),
  backendName: optionalText(120),
})

export const portRuleSchema = Type.Object({
  sourcePort: port,
  protocol: Type.Union([
    Type.Literal('http'),
    Type.Literal('https'),
    Type.Literal('tcp'),
    Type.Literal('tls'),
    Type.Literal('sni'),
    Type.Literal('udp'),
  ]),
  /** `name`, `*.suffix` or `prefix.*`. */
  hostname: optionalText(253),
  /** The path's beginning. */
  path: optionalText(1024),
  /** Absent: what the target's own rule says. */
  targetPort: Type.Optional(port),
  /** Exactly one of the three. `service` of the same stack, or `stack/service`. */
  service: optionalText(512),
  /** A container's name. */
  container: optionalText(256),
  /** Services by their labels. */
  selector: optionalText(1024),
  /** Rules with a priority come before all others, lower ones first. */
  priority: Type.Optional(Type.Integer({ minimum: 1, maximum: 1_000_000 })),
  backendName: optionalText(120),
  /** Of each container, beside those of other rules. */
  weight: Type.Optional(Type.Integer({ minimum: 0, maximum: 256 })),
})

export const stickinessSchema = Type.Object({
  name: optionalText(120),
  /** Absent: the backend's name. */
  cookie: optionalText(120),
  domain: optionalText(253),
  indirect: Type.Optional(Type.Boolean()),
  nocache: Type.Optional(Type.Boolean()),
  postonly: Type.Optional(Type.Boolean()),
  mode: Type.Optional(Type.Union([Type.Literal('rewrite'), Type.Literal('insert'), Type.Literal('prefix')])),
})

/** A certificate without its secrets: what it says of itself changes when it is renewed. */
export const balancerCertificateSchema = Type.Object({
  name: Type.String({ maxLength: 255 }),
  fingerprint: Type.String({ maxLength: 128 }),
})

export const balancerConfigSchema = Type.Object({
  portRules: Type.Array(portRuleSchema, { maxItems: 2_000 }),
  /** Names of certificates of the environment. */
  certificates: Type.Array(Type.String({ maxLength: 255 }), { maxItems: 1_000 }),
  defaultCertificate: optionalText(255),
  /** Lines of HAProxy's configuration, in sections. */
  config: optionalText(BALANCER_CONFIG_LIMIT),
  stickinessPolicy: Type.Optional(stickinessSchema),
})

export const balancerTargetConfigSchema = Type.Object({
  portRules: Type.Array(targetRuleSchema, { maxItems: 200 }),
})

export type TargetRule = Static<typeof targetRuleSchema>
export type PortRule = Static<typeof portRuleSchema>
export type StickinessPolicy = Static<typeof stickinessSchema>
export type BalancerCertificate = Static<typeof balancerCertificateSchema>
export type BalancerConfig = Static<typeof balancerConfigSchema>
export type BalancerTargetConfig = Static<typeof balancerTargetConfigSchema>

/** Whether a balancer has certificates in a directory of its container. @param labels of its containers */
export function hasCertificateDirectory(labels: Readonly<Record<string, string>>): boolean {
  return Boolean(labels[LABEL.balancerCertificates] || labels[LABEL.balancerDefaultCertificate])
}

/**
 * What makes a configuration impossible to carry out, in words; undefined when nothing.
 *
 * @param labels of the balancer's containers
 * @returns the first problem, with the number of its rule, counted from 0
 */
export function balancerConfigProblem(
  config: BalancerConfig,
  labels: Readonly<Record<string, string>> = {},
): { readonly rule?: number; readonly problem: string; readonly expected: string } | undefined {
  const protocols = new Map<string, BalancerProtocol>()
  for (const [rule, each] of config.portRules.entries()) {
    const { sourcePort, protocol, service, container, selector, backendName } = each
    const targets = [service, container, selector].filter(target => target !== undefined)
    if (targets.length !== 1) {
      return {
        rule,
        problem: `names ${targets.length} targets`,
        expected: 'a service, a container or a selector',
      }
    }
    if (RESERVED_BALANCER_PORTS.includes(sourcePort)) {
      return { rule, problem: `wants port ${sourcePort}, which is reserved`, expected: 'another source port' }
    }
    if (selector === undefined && each.targetPort === undefined) {
      return { rule, problem: 'names no target port', expected: 'a port from 1 to 65535' }
    }
    // UDP and TCP have ports of their own.
    const place = `${protocol === 'udp' ? 'udp' : 'tcp'} ${sourcePort}`
    const present = protocols.get(place) ?? protocol
    if (present !== protocol) {
      return {
        rule,
        problem: `wants ${protocol} at port ${sourcePort}, where another rule wants ${present}`,
        expected: 'one protocol for each port',
      }
    }
    protocols.set(place, protocol)
    if (backendName !== undefined && !BACKEND_NAME.test(backendName)) {
      return {
        rule,
        problem: 'has a backend name that HAProxy cannot read',
        expected: 'letters, digits and _ . : -',
      }
    }
    if (
      (protocol === 'https' || protocol === 'tls') &&
      certificateNames(config).length === 0 &&
      !hasCertificateDirectory(labels)
    ) {
      return { rule, problem: `wants ${protocol} without a certificate`, expected: 'certificates' }
    }
  }
  const { stickinessPolicy: { cookie = '', domain = '' } = {} } = config
  if (![cookie, domain].every(text => /^[A-Za-z0-9_.-]*$/.test(text))) {
    return {
      problem: 'has a stickiness policy with a cookie or domain that is none',
      expected: 'letters, digits and _ . -',
    }
  }
  return undefined
}

/** The certificates of a configuration, the default one first. */
export function certificateNames({ certificates, defaultCertificate }: BalancerConfig): string[] {
  return [...new Set([...(defaultCertificate === undefined ? [] : [defaultCertificate]), ...certificates])]
}

const count = Type.Integer({ minimum: 0 })

/** What one part of a balancer has done since its HAProxy took its newest configuration. */
const balancerStatisticsSchema = Type.Object({
  /** A source port for a frontend, with `/udp` for one of UDP; else a backend's name. */
  name: Type.String({ maxLength: 200 }),
  kind: Type.Union([Type.Literal('frontend'), Type.Literal('backend')]),
  /** Connections, or requests in progress, at this moment. */
  sessions: count,
  sessionsTotal: count,
  requestsTotal: count,
  bytesIn: count,
  bytesOut: count,
  /** Answers by the first digit of their status. */
  responses: Type.Object({ '2xx': count, '3xx': count, '4xx': count, '5xx': count }),
  /** Connections that came to nothing, and requests that were tried again. */
  connectionErrors: count,
  retries: count,
  /** Of a backend: servers that get requests, and milliseconds of its newest requests. */
  serversUp: Type.Optional(count),
  responseTime: Type.Optional(count),
})

export type BalancerStatistics = Static<typeof balancerStatisticsSchema>

/** Most parts of a balancer, and most balancers of a host, that are told of. */
export const BALANCER_PARTS_LIMIT = 500
export const BALANCERS_LIMIT = 200

/** Most targets of a balancer that are to end and are told of; beyond them nothing is known. */
export const BALANCER_LEAVING_LIMIT = 1_000

/** How a balancer's container is. */
export const balancerReportSchema = Type.Object({
  containerUuid: Type.String({ maxLength: 64 }),
  /** What stands in the way of what it was told to do; empty when nothing. */
  problems: Type.Array(Type.String({ maxLength: 1_024 }), { maxItems: 20 }),
  statistics: Type.Array(balancerStatisticsSchema, { maxItems: BALANCER_PARTS_LIMIT }),
  /** Its targets that are to end, and whether they may still have clients of it. */
  leaving: Type.Optional(
    Type.Array(Type.Object({ containerUuid: Type.String({ maxLength: 64 }), busy: Type.Boolean() }), {
      maxItems: BALANCER_LEAVING_LIMIT,
    }),
  ),
})

export type BalancerReport = Static<typeof balancerReportSchema>
