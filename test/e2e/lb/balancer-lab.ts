/** A balancer from its metadata to the real HAProxy, and those who answer behind it. */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import path from 'node:path'
import { balancerModel } from '../../../agent/balancer/index.ts'
import { MetadataModel } from '../../../agent/metadata/index.ts'
import { createLogger } from '../../../kit/index.ts'
import { createCertificateAuthority, issueCertificate } from '../../../kit/x509/index.ts'
import { type Applied, Haproxy } from '../../../lb/index.ts'
import type { BalancerConfig, MetadataObject, PortRule, ServiceInfo } from '../../../protocol/index.ts'
import { until } from '../../lab/fleet.ts'
import { container, environment, host, service, stack } from '../../unit/agent/metadata/objects.ts'
import { get, type WebServer, webServer } from './web-server.ts'

const log = createLogger('test', 'silent')

/** What all services answer at. */
export const PORT = 8080

export const production = environment('Production')
export const shop = stack('shop', production)
export const node = host('node')
const names = ['a', 'b', 'c'] as const
export const services = names.map(name => service(name, shop))
const addresses = { a: ['127.0.0.11', '127.0.0.12'], b: ['127.0.0.13'], c: ['127.0.0.14'] } as const
export const containers = services.flatMap(one =>
  addresses[one.name as 'a'].map((primaryIp, index) =>
    container(`${one.name}-${index + 1}`, one, { primaryIp, hostUuid: node.uuid }),
  ),
)

export interface Surroundings {
  /** Beside what is always there; what has the same uuid takes its place. */
  readonly more?: readonly MetadataObject[]
  readonly certificates?: Readonly<Record<string, string>>
  readonly labels?: Readonly<Record<string, string>>
}

export interface BalancerLab {
  readonly haproxy: Haproxy
  /** Lines of HAProxy's log. */
  readonly lines: readonly string[]
  /** Those who answer, in the order of `containers`. */
  readonly servers: readonly WebServer[]
  /** Has HAProxy do what these rules say. */
  readonly serve: (
    rules: readonly Partial<PortRule>[],
    config?: Partial<BalancerConfig>,
    surroundings?: Surroundings,
  ) => Promise<Applied & { readonly problems: readonly string[] }>
  /** What is answered to a request. */
  readonly answer: (at: string, headers?: Readonly<Record<string, string>>, port?: number) => Promise<string>
  /** A certificate with its key. */
  readonly pem: (commonName: string, dnsName?: string) => Promise<string>
}

/** @param atEnd takes what ends everything */
export async function startBalancer(atEnd: (end: () => Promise<void>) => unknown): Promise<BalancerLab> {
  const directory = await mkdtemp('/tmp/drover-lb-')
  const lines: string[] = []
  const haproxy = new Haproxy({
    name: 'balancer',
    directory: path.join(directory, 'lb'),
    log,
    onLine: line => lines.push(line),
  })
  await haproxy.start()
  const servers = await Promise.all(
    containers.map(({ name, primaryIp = '' }) => webServer(name, () => 200, { host: primaryIp, port: PORT })),
  )
  atEnd(async () => {
    await haproxy.stop()
    await Promise.all(servers.map(server => server.close()))
    await rm(directory, { recursive: true, force: true })
  })
  const authority = await createCertificateAuthority('test', 2)
  const pem = async (commonName: string, dnsName = commonName) => {
    const pair = await issueCertificate(authority, {
      commonName,
      dnsNames: [dnsName],
      usage: 'server',
      validDays: 2,
    })
    return `${pair.certificate}\n${pair.privateKey}`
  }

  const workers = async () => {
    const children = await readFile(`/proc/${haproxy.pid}/task/${haproxy.pid}/children`, 'utf8')
    return children.trim().split(' ').length
  }

  const serve: BalancerLab['serve'] = async (
    rules,
    config = {},
    { more = [], certificates = {}, labels = {} } = {},
  ) => {
    const balancer: ServiceInfo = service('lb', shop, {
      kind: 'loadBalancerService',
      labels,
      lbConfig: {
        portRules: rules.map(rule => ({ sourcePort: 8000, protocol: 'http', targetPort: PORT, ...rule })),
        certificates: [],
        ...config,
      },
    })
    const reader = new MetadataModel()
    reader.apply([production, shop, node, ...services, ...containers, balancer, ...more], [])
    const built = balancerModel({
      ...{ service: balancer, reader, hostUuid: node.uuid, previous: haproxy.model },
      certificates: new Map(Object.entries(certificates)),
    })
    const applied = await haproxy.apply(built.model)
    // The worker before takes a request or two until it hears that it has to go.
    if (applied.how === 'reload') await until('one worker', 10_000, async () => (await workers()) === 1)
    return { ...applied, problems: built.problems }
  }
  const answer: BalancerLab['answer'] = async (at, headers = {}, port = 8000) =>
    (await get(port, at, headers)).body

  return { haproxy, lines, servers, serve, answer, pem }
}
