/** Services and their deployment units. */
import { randomUUID } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import { KeyedLock } from '../../../kit/index.ts'
import {
  changedService,
  hasContainers,
  imageOfKind,
  isExternalAddress,
  type ServiceDefinition,
  serviceKind,
} from '../../compose/index.ts'
import { type LaunchConfig, modelErrors, type Service } from '../../model/index.ts'
import type { ApiContext } from '../context.ts'
import { apiErrors } from '../errors.ts'
import { parseHealthCheck, showHealthCheck } from '../health-check.ts'
import { parseLaunchConfig, showLaunchConfig } from '../launch-config.ts'
import { BalancerConfigs } from '../load-balancer.ts'
import type { ResourceType } from '../resource-type.ts'

const SERVICE_NAME = /^[a-zA-Z0-9]([a-zA-Z0-9_.-]*[a-zA-Z0-9])?$/

/**
 * The health check may stand at the service, too: it is that of its launch config. Clients send whole services back, so
 * one that says what was there before says nothing.
 */
function withHealthCheck(
  config: LaunchConfig,
  { healthCheck }: Record<string, unknown>,
  before: LaunchConfig | undefined,
): LaunchConfig {
  if (healthCheck === undefined) return config
  const check = parseHealthCheck(healthCheck, 'healthCheck')
  return isDeepStrictEqual(check, before?.healthCheck) ? config : { ...config, healthCheck: check }
}

/** A service's definition after `input` was laid over it. */
function serviceDefinition(
  input: Record<string, unknown>,
  present: Service | undefined,
  balancing: (
    kind: Service['kind'],
    labels: LaunchConfig['labels'],
  ) => Pick<ServiceDefinition, 'lbConfig' | 'lbTargetConfig'>,
): ServiceDefinition {
  const name = present?.name ?? String(input.name)
  const links = (input.serviceLinks ?? present?.serviceLinks ?? []) as { name: string; alias?: string }[]
  const launchConfig = withHealthCheck(
    input.launchConfig === undefined && present !== undefined
      ? present.launchConfig
      : parseLaunchConfig(input.launchConfig, name, 'launchConfig'),
    input,
    present?.launchConfig,
  )
  const kind = serviceKind(launchConfig.image)
  const drainTimeout = (input.drainTimeoutMs ?? present?.drainTimeout) as number | undefined
  const externalHostname = input.hostname ?? present?.externalHostname
  return {
    name,
    kind,
    externalIps: (input.externalIps ?? present?.externalIps ?? []) as string[],
    ...(typeof externalHostname === 'string' ? { externalHostname } : {}),
    ...balancing(kind, launchConfig.labels),
    ...(drainTimeout === undefined ? {} : { drainTimeout }),
    scale: hasContainers(kind) ? ((input.scale ?? present?.scale ?? 1) as number) : 0,
    launchConfig: { ...launchConfig, image: imageOfKind(kind, launchConfig.image) },
    secondaryLaunchConfigs: present?.secondaryLaunchConfigs ?? [],
    serviceLinks: links.map(link => ({ name: link.name, alias: (link.alias ?? link.name).toLowerCase() })),
    dependsOn: present?.dependsOn ?? [],
    metadata: (input.metadata ?? present?.metadata ?? {}) as Record<string, unknown>,
    batchSize: (input.batchSize ?? present?.batchSize ?? 1) as number,
    startFirst: (input.startFirst ?? present?.startFirst ?? false) as boolean,
  }
}

function checkExternalAddresses(value: unknown): void {
  if (value === undefined || (value as string[]).every(isExternalAddress)) return
  throw apiErrors.InvalidFormat({
    object: 'externalIps',
    field: 'externalIps',
    expected: 'a list of IP addresses',
  })
}

function checkLinks(value: unknown): void {
  const fits =
    value === undefined ||
    (Array.isArray(value) &&
      value.every(
        link =>
          typeof link?.name === 'string' &&
          /^([\w.-]+\/)?[\w.-]{1,63}$/.test(link.name) &&
          (link.alias === undefined || /^[\w.-]{1,63}$/.test(String(link.alias))),
      ))
  if (!fits) {
    throw apiErrors.InvalidFormat({
      object: 'serviceLinks',
      field: 'serviceLinks',
      expected: 'a list of {name, alias}',
    })
  }
}

export function serviceType({ model }: ApiContext): ResourceType<'service'> {
  const lock = new KeyedLock('service', 100)
  const configs = new BalancerConfigs(model)
  /** What a service says of balancing, once it is known what kind of service it is. */
  const balancing =
    (input: Record<string, unknown>, accountId: string, present: Service | undefined) =>
    (
      kind: Service['kind'],
      labels: LaunchConfig['labels'],
    ): Pick<ServiceDefinition, 'lbConfig' | 'lbTargetConfig'> => {
      if (kind === 'loadBalancerService') {
        if (input.lbConfig !== undefined)
          return { lbConfig: configs.parse(input.lbConfig, accountId, labels) }
        return { lbConfig: present?.lbConfig ?? { portRules: [], certificates: [] } }
      }
      const target =
        input.lbTargetConfig === undefined
          ? present?.lbTargetConfig
          : configs.parseTarget(input.lbTargetConfig)
      return target === undefined ? {} : { lbTargetConfig: target }
    }
  const create = async (input: Record<string, unknown>): Promise<Service> => {
    checkLinks(input.serviceLinks)
    checkExternalAddresses(input.externalIps)
    const stack = model.stacks.get(String(input.stackId))
    if (stack === undefined || stack.state === 'removing') {
      throw apiErrors.InvalidReference({ object: `stack ${input.stackId}`, field: 'stackId' })
    }
    const definition = serviceDefinition(input, undefined, balancing(input, stack.accountId, undefined))
    if (model.services.find('name', `${stack.id}/${definition.name}`) !== undefined) {
      throw modelErrors.NotUnique({ object: `service ${definition.name}`, field: 'name' })
    }
    return await model.services.create({
      ...definition,
      ...(typeof input.description === 'string' ? { description: input.description } : {}),
      state: 'activating',
      clusterId: stack.clusterId,
      accountId: stack.accountId,
      stackId: stack.id,
      launchVersion: randomUUID(),
      createIndex: model.services.where('stack', stack.id).length + 1,
    })
  }
  return {
    type: 'service',
    kind: 'service',
    plural: 'services',
    fields: {
      name: {
        type: 'string',
        create: true,
        required: true,
        minLength: 1,
        maxLength: 63,
        pattern: SERVICE_NAME,
      },
      stackId: { type: 'reference[stack]', create: true, required: true },
      accountId: { type: 'reference[project]' },
      clusterId: { type: 'reference[cluster]' },
      scale: { type: 'int', create: true, update: true, min: 0, max: 10_000, default: 1 },
      launchConfig: { type: 'launchConfig', create: true, update: true, required: true },
      secondaryLaunchConfigs: { type: 'array[launchConfig]' },
      serviceLinks: { type: 'array[json]', create: true, update: true },
      metadata: { type: 'map[json]', create: true, update: true },
      externalIps: { type: 'array[string]', create: true, update: true },
      hostname: { type: 'string', create: true, update: true, nullable: true, maxLength: 253 },
      lbConfig: { type: 'json', create: true, update: true, nullable: true },
      lbTargetConfig: { type: 'json', create: true, update: true, nullable: true },
      drainTimeoutMs: { type: 'int', create: true, update: true, min: 0, max: 3_600_000, nullable: true },
      batchSize: { type: 'int', create: true, update: true, min: 1, max: 10_000, default: 1 },
      startFirst: { type: 'boolean', create: true, update: true, default: false },
      healthCheck: { type: 'instanceHealthCheck', create: true, update: true, nullable: true },
      healthState: { type: 'string' },
      currentScale: { type: 'int' },
      version: { type: 'string' },
      createIndex: { type: 'int' },
      instanceIds: { type: 'array[reference[container]]' },
    },
    show: service => {
      const containers = model.containers.where('service', service.id)
      return {
        stackId: service.stackId,
        accountId: service.accountId,
        clusterId: service.clusterId,
        scale: service.scale,
        launchConfig: showLaunchConfig(service.launchConfig),
        secondaryLaunchConfigs: service.secondaryLaunchConfigs.map(showLaunchConfig),
        serviceLinks: service.serviceLinks,
        kind: service.kind,
        metadata: service.metadata,
        externalIps: service.externalIps,
        hostname: service.externalHostname ?? null,
        lbConfig: configs.show(service.lbConfig, service),
        lbTargetConfig: service.lbTargetConfig ?? null,
        drainTimeoutMs: service.drainTimeout ?? null,
        batchSize: service.batchSize,
        startFirst: service.startFirst,
        healthCheck: showHealthCheck(service.launchConfig.healthCheck),
        healthState: service.healthState ?? null,
        currentScale: model.deploymentUnits
          .where('service', service.id)
          .filter(({ state }) => state === 'active').length,
        createIndex: service.createIndex,
        version: service.launchVersion,
        instanceIds: containers.map(({ id }) => id),
      }
    },
    projectOf: service => service.accountId,
    create: input => lock.run(`${input.stackId}/${input.name}`, () => create(input)),
    update: async (service, input) => {
      checkLinks(input.serviceLinks)
      checkExternalAddresses(input.externalIps)
      return await model.services.update(service.id, current => {
        if (current.state === 'removing') {
          throw apiErrors.InvalidState({ object: `service ${current.name}`, message: 'is being removed' })
        }
        return changedService(
          typeof input.description === 'string' ? { ...current, description: input.description } : current,
          serviceDefinition(input, current, balancing(input, current.accountId, current)),
        )
      })
    },
    remove: async service =>
      await model.services.update(service.id, current => ({ ...current, state: 'removing' as const })),
    actions: {
      /** Replaces every container, a batch at a time. */
      restart: {
        output: 'service',
        available: service => service.state === 'active',
        run: async service =>
          await model.services.update(service.id, current => ({
            ...current,
            launchVersion: randomUUID(),
            state: 'upgrading' as const,
          })),
      },
    },
    links: (service, urls) => ({
      stack: urls.resource('stacks', service.stackId),
      containers: `${urls.collection('containers')}?serviceId=${service.id}`,
    }),
  }
}

export function deploymentUnitType(): ResourceType<'deploymentUnit'> {
  return {
    type: 'deploymentUnit',
    kind: 'deploymentUnit',
    plural: 'deploymentunits',
    fields: {
      serviceId: { type: 'reference[service]' },
      stackId: { type: 'reference[stack]' },
      accountId: { type: 'reference[project]' },
      clusterId: { type: 'reference[cluster]' },
      hostId: { type: 'reference[host]' },
      serviceIndex: { type: 'int' },
      externalId: { type: 'string' },
    },
    show: unit => ({
      serviceId: unit.serviceId,
      stackId: unit.stackId,
      accountId: unit.accountId,
      clusterId: unit.clusterId,
      hostId: unit.hostId ?? null,
      serviceIndex: unit.serviceIndex,
      externalId: unit.externalId,
    }),
    projectOf: unit => unit.accountId,
  }
}
