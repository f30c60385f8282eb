/** Brings the services of a stack in line with its definition. */
import { randomUUID } from 'node:crypto'
import { isDeepStrictEqual } from 'node:util'
import type { LaunchConfig, Model, Service, Stack } from '../model/index.ts'
import { composeErrors } from './errors.ts'
import type { ServiceDefinition, StackDefinition } from './stack-definition.ts'

/** Names of the fields in which two launch configs differ; how containers are checked does not make them others. */
function changedFields(before: LaunchConfig, after: LaunchConfig): string[] {
  const fields = new Set([...Object.keys(before), ...Object.keys(after)]) as Set<keyof LaunchConfig>
  fields.delete('healthCheck')
  return [...fields].filter(field => !isDeepStrictEqual(before[field], after[field]))
}

function withoutHealthCheck({ healthCheck: _check, ...rest }: LaunchConfig): LaunchConfig {
  return rest
}

/** What would have to be replaced to make `service` what `definition` says; empty when nothing. */
function replacedFields(
  service: Pick<Service, 'launchConfig' | 'secondaryLaunchConfigs'>,
  definition: Pick<ServiceDefinition, 'launchConfig' | 'secondaryLaunchConfigs'>,
): string[] {
  const fields = changedFields(service.launchConfig, definition.launchConfig)
  const [before, after] = [service, definition].map(({ secondaryLaunchConfigs }) =>
    secondaryLaunchConfigs.map(withoutHealthCheck),
  )
  if (!isDeepStrictEqual(before, after)) fields.push('sidekicks')
  return fields
}

/** The service after a change of its definition. Its containers are replaced only when their own config changed. */
export function changedService(service: Service, definition: ServiceDefinition): Service {
  // What a definition may leave out is gone when it does.
  const { lbConfig: _config, lbTargetConfig: _target, drainTimeout: _drain, ...rest } = service
  const next: Service = { ...rest, ...definition }
  if (isDeepStrictEqual(next, service)) return service
  return replacedFields(service, definition).length === 0
    ? next
    : { ...next, launchVersion: randomUUID(), state: 'upgrading' }
}

export class ComposeExecutor {
  readonly #model: Model

  constructor(model: Model) {
    this.#model = model
  }

  /**
   * Refuses a definition that would replace containers.
   *
   * @throws `UpgradeRequired` naming the services and what differs
   */
  requireNoReplacement(stack: Stack, definition: StackDefinition): void {
    const differences = definition.services.flatMap(wanted => {
      const present = this.#model.services.find('name', `${stack.id}/${wanted.name}`)
      if (present === undefined) return []
      const fields = replacedFields(present, wanted)
      return fields.length === 0 ? [] : [`${wanted.name} (${fields.join(', ')})`]
    })
    if (differences.length === 0) return
    throw composeErrors.UpgradeRequired({
      object: `stack ${stack.name}`,
      message: `differs in what its containers are made from: ${differences.join('; ')}`,
    })
  }

  /**
   * Creates the services that are missing and changes those that differ. Services that the definition does not mention
   * stay: a file that lost a few lines must not end anything.
   */
  async apply(stack: Stack, definition: StackDefinition): Promise<void> {
    let createIndex = this.#model.services.where('stack', stack.id).length
    for (const wanted of definition.services) {
      const present = this.#model.services.find('name', `${stack.id}/${wanted.name}`)
      if (present === undefined) {
        createIndex += 1
        await this.#model.services.create({
          ...wanted,
          state: 'activating',
          clusterId: stack.clusterId,
          accountId: stack.accountId,
          stackId: stack.id,
          launchVersion: randomUUID(),
          createIndex,
        })
      } else await this.#model.services.update(present.id, current => changedService(current, wanted))
    }
  }
}
