/** Launch configs in the form of the `/v3` API, and in ours. */
import { parseIpv4, type Static, Type, validatorOf } from '../../kit/index.ts'
import { emptyLaunchConfig } from '../compose/index.ts'
import type { BindMount, LaunchConfig, PortSpecification } from '../model/index.ts'
import { apiErrors } from './errors.ts'
import { healthCheckSchema, parseHealthCheck, showHealthCheck } from './health-check.ts'

const text = (maximum: number) => Type.String({ maxLength: maximum })
const texts = Type.Array(text(4096), { maxItems: 1024 })
const nullable = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T) =>
  Type.Optional(Type.Union([schema, Type.Null()]))

const schema = Type.Object(
  {
    type: nullable(text(64)),
    name: nullable(text(63)),
    kind: nullable(text(64)),
    image: nullable(Type.String({ minLength: 1, maxLength: 255 })),
    imageUuid: nullable(text(300)),
    command: nullable(texts),
    entryPoint: nullable(texts),
    environment: nullable(Type.Record(Type.String(), text(131_072))),
    labels: nullable(Type.Record(Type.String(), text(16_384))),
    ports: nullable(texts),
    expose: nullable(texts),
    hostname: nullable(text(253)),
    workingDir: nullable(text(4096)),
    user: nullable(Type.String({ pattern: '^\\d+(:\\d+)?$', maxLength: 32 })),
    tty: nullable(Type.Boolean()),
    stdinOpen: nullable(Type.Boolean()),
    privileged: nullable(Type.Boolean()),
    readOnly: nullable(Type.Boolean()),
    capAdd: nullable(texts),
    capDrop: nullable(texts),
    extraHosts: nullable(texts),
    dns: nullable(texts),
    dnsSearch: nullable(texts),
    dataVolumes: nullable(texts),
    memory: nullable(Type.Integer({ minimum: 0 })),
    memoryReservation: nullable(Type.Integer({ minimum: 0 })),
    milliCpu: nullable(Type.Integer({ minimum: 0 })),
    milliCpuReservation: nullable(Type.Integer({ minimum: 0 })),
    networkMode: nullable(Type.Union([Type.Literal('managed'), Type.Literal('host')])),
    restartPolicy: nullable(Type.Object({ name: text(32) })),
    stopTimeout: nullable(Type.Integer({ minimum: 0, maximum: 86_400 })),
    healthCheck: nullable(healthCheckSchema),
  },
  { additionalProperties: false },
)

/** A launch config as clients write it. */
export type LaunchConfigInput = Static<typeof schema>
const validator = validatorOf(schema)

function parsePort(value: string, field: string): PortSpecification {
  const match = /^(?:([0-9.]+):)?(\d{1,5}):(\d{1,5})(?:\/(tcp|udp))?$/.exec(value)
  const publicPort = Number(match?.[2])
  const privatePort = Number(match?.[3])
  const inRange = (port: number) => port >= 1 && port <= 65535
  const address = match?.[1]
  if (
    match === null ||
    !inRange(publicPort) ||
    !inRange(privatePort) ||
    (address !== undefined && parseIpv4(address) === undefined)
  ) {
    throw apiErrors.PortWrongFormat({
      object: field,
      field,
      message: `"${value}" is not a port specification`,
      expected: '[address:]public:private[/tcp|udp]',
    })
  }
  return {
    ...(address === undefined || address === '0.0.0.0' ? {} : { address }),
    publicPort,
    privatePort,
    protocol: match[4] === 'udp' ? 'udp' : 'tcp',
  }
}

export function formatPort(port: PortSpecification): string {
  const address = port.address === undefined ? '' : `${port.address}:`
  return `${address}${port.publicPort}:${port.privatePort}/${port.protocol}`
}

function parseBind(value: string, field: string): BindMount {
  const match = /^(\/[^:]*):(\/[^:]*)(?::(ro|rw))?$/.exec(value)
  if (match === null) {
    throw apiErrors.InvalidFormat({ object: field, field, expected: '/path/on/host:/path/in/container[:ro]' })
  }
  return { hostPath: match[1] ?? '', containerPath: match[2] ?? '', readOnly: match[3] === 'ro' }
}

function restartOf(input: LaunchConfigInput, field: string): LaunchConfig['restart'] {
  switch (input.restartPolicy?.name) {
    case undefined:
    case 'always':
    case 'unless-stopped':
      return 'always'
    case 'on-failure':
      return 'on-failure'
    case 'no':
      return 'no'
    default:
      throw apiErrors.InvalidOption({
        object: `${field}.restartPolicy.name`,
        field: `${field}.restartPolicy.name`,
        expected: 'one of always, unless-stopped, on-failure, no',
      })
  }
}

/** Only the fields that were given a value; `null` means "not given". */
function given<T extends Record<string, unknown>>(fields: T): { [K in keyof T]?: NonNullable<T[K]> } {
  return Object.fromEntries(
    Object.entries(fields).filter(([, value]) => value !== undefined && value !== null),
  ) as { [K in keyof T]?: NonNullable<T[K]> }
}

/**
 * Reads what a client sent.
 *
 * @param name the service's or sidekick's name
 * @throws `InvalidFormat`, `MissingRequired`, `PortWrongFormat`, `InvalidOption`
 */
export function parseLaunchConfig(value: unknown, name: string, field: string): LaunchConfig {
  const input = validator.parse(value, field)
  const image = input.image ?? input.imageUuid?.replace(/^docker:/, '')
  if (image === undefined || image === null) {
    throw apiErrors.MissingRequired({ object: `${field}.image`, field: `${field}.image` })
  }
  return {
    ...emptyLaunchConfig,
    ...given({
      command: input.command,
      entryPoint: input.entryPoint,
      environment: input.environment,
      labels: input.labels,
      expose: input.expose,
      hostname: input.hostname,
      workingDir: input.workingDir,
      user: input.user,
      tty: input.tty,
      stdinOpen: input.stdinOpen,
      privileged: input.privileged,
      readOnly: input.readOnly,
      capAdd: input.capAdd,
      capDrop: input.capDrop,
      extraHosts: input.extraHosts,
      dns: input.dns,
      dnsSearch: input.dnsSearch,
      memory: input.memory,
      memoryReservation: input.memoryReservation,
      milliCpu: input.milliCpu,
      milliCpuReservation: input.milliCpuReservation,
      networkMode: input.networkMode,
      stopTimeout: input.stopTimeout,
    }),
    ...(input.healthCheck === undefined || input.healthCheck === null
      ? {}
      : { healthCheck: parseHealthCheck(input.healthCheck, `${field}.healthCheck`) }),
    ports: (input.ports ?? []).map(port => parsePort(port, `${field}.ports`)),
    binds: (input.dataVolumes ?? []).map(bind => parseBind(bind, `${field}.dataVolumes`)),
    restart: restartOf(input, field),
    name,
    image,
  }
}

/** Shows a launch config as clients know it. */
export function showLaunchConfig(config: LaunchConfig): Record<string, unknown> {
  const { ports, binds, restart, healthCheck, ...same } = config
  return {
    type: 'launchConfig',
    ...same,
    imageUuid: `docker:${config.image}`,
    ports: ports.map(formatPort),
    dataVolumes: binds.map(bind => `${bind.hostPath}:${bind.containerPath}${bind.readOnly ? ':ro' : ''}`),
    restartPolicy: { name: restart },
    healthCheck: showHealthCheck(healthCheck),
  }
}
