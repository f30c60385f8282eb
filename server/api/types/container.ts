/** Containers, whoever started them. */
import { LABEL } from '../../../protocol/index.ts'
import { type Container, healthCheckOf, shownHealth } from '../../model/index.ts'
import type { ApiContext } from '../context.ts'
import { apiErrors } from '../errors.ts'
import { showHealthCheck } from '../health-check.ts'
import { formatPort } from '../launch-config.ts'
import type { ResourceType } from '../resource-type.ts'

const MAXIMUM_COMMAND = 64

function execParams(input: unknown): Record<string, unknown> {
  const { command, tty = true, attachStdin = true } = (input ?? {}) as Record<string, unknown>
  const fits =
    Array.isArray(command) &&
    command.length > 0 &&
    command.length <= MAXIMUM_COMMAND &&
    command.every(word => typeof word === 'string') &&
    typeof tty === 'boolean' &&
    typeof attachStdin === 'boolean'
  if (!fits)
    throw apiErrors.InvalidFormat({ object: 'command', field: 'command', expected: 'a list of words' })
  return { command, tty, attachStdin }
}

function logParams(input: unknown): Record<string, unknown> {
  const { follow = true, lines = 100 } = (input ?? {}) as Record<string, unknown>
  if (typeof follow !== 'boolean' || !Number.isInteger(lines)) {
    throw apiErrors.InvalidFormat({ object: 'logs', expected: '{follow: boolean, lines: number}' })
  }
  return { follow, lines }
}

export function containerType({
  model,
  health,
  hostAccess,
  balancers,
}: ApiContext): ResourceType<'container'> {
  const hasDocker = (container: Container) =>
    container.externalId !== undefined && container.hostId !== undefined
  return {
    type: 'container',
    kind: 'container',
    plural: 'containers',
    fields: {
      clusterId: { type: 'reference[cluster]' },
      accountId: { type: 'reference[project]' },
      stackId: { type: 'reference[stack]' },
      serviceId: { type: 'reference[service]' },
      deploymentUnitId: { type: 'reference[deploymentUnit]' },
      hostId: { type: 'reference[host]' },
      externalId: { type: 'string' },
      image: { type: 'string' },
      imageUuid: { type: 'string' },
      command: { type: 'array[string]' },
      hostname: { type: 'string' },
      labels: { type: 'map[string]' },
      primaryIpAddress: { type: 'string' },
      primaryIpv6Address: { type: 'string' },
      primaryMacAddress: { type: 'string' },
      networkMode: { type: 'string' },
      ports: { type: 'array[string]' },
      exitCode: { type: 'int' },
      startCount: { type: 'int' },
      lastStart: { type: 'date' },
      createIndex: { type: 'int' },
      serviceIndex: { type: 'string' },
      version: { type: 'string' },
      healthCheck: { type: 'instanceHealthCheck' },
      healthState: { type: 'string' },
      healthcheckStates: { type: 'array[json]' },
      ready: { type: 'boolean' },
      balancerProblem: { type: 'string' },
      balancerStatistics: { type: 'array[json]' },
      nativeContainer: { type: 'boolean' },
      system: { type: 'boolean' },
    },
    show: container => ({
      clusterId: container.clusterId,
      accountId: container.accountId,
      stackId: container.stackId ?? null,
      serviceId: container.serviceId ?? null,
      deploymentUnitId: container.deploymentUnitId ?? null,
      hostId: container.hostId ?? null,
      externalId: container.externalId ?? null,
      image: container.image,
      imageUuid: `docker:${container.image}`,
      command: container.command,
      hostname: container.hostname ?? null,
      labels: container.labels,
      primaryIpAddress: container.primaryIpAddress ?? null,
      primaryIpv6Address: container.primaryIpv6Address ?? null,
      primaryMacAddress: container.primaryMacAddress ?? null,
      networkMode: container.networkMode,
      ports: container.ports.map(formatPort),
      exitCode: container.exitCode ?? null,
      startCount: container.startCount,
      lastStart: container.lastStart ?? null,
      createIndex: container.createIndex,
      serviceIndex: container.serviceIndex ?? null,
      version: container.version ?? null,
      healthCheck: showHealthCheck(healthCheckOf(model.services.get(container.serviceId ?? ''), container)),
      // One that nobody says anything about is as healthy as it runs.
      healthState: shownHealth(container) ?? 'healthy',
      healthcheckStates: health
        .checkerStates(container)
        .map(state => ({ type: 'healthcheckState', ...state })),
      ready: container.ready ?? null,
      ...(container.labels[LABEL.balancer] === 'true'
        ? {
            balancerProblem: container.balancerProblem ?? null,
            balancerStatistics: balancers.statistics(container),
          }
        : {}),
      nativeContainer: container.nativeContainer,
      system: container.system,
    }),
    projectOf: container => container.accountId,
    actions: {
      execute: {
        input: 'containerExec',
        output: 'hostAccess',
        available: container => container.state === 'running' && hasDocker(container),
        run: async (container, input, keyId) => ({
          type: 'hostAccess',
          ...hostAccess.grant('exec', container, execParams(input), keyId),
        }),
      },
      logs: {
        input: 'containerLogs',
        output: 'hostAccess',
        available: hasDocker,
        run: async (container, input, keyId) => ({
          type: 'hostAccess',
          ...hostAccess.grant('logs', container, logParams(input), keyId),
        }),
      },
    },
    links: (container, urls) =>
      container.serviceId === undefined ? {} : { service: urls.resource('services', container.serviceId) },
  }
}
