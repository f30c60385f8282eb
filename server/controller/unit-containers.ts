/** The containers of a deployment unit: their names, and the objects that stand for them. */
import { randomUUID } from 'node:crypto'
import { LABEL } from '../../protocol/index.ts'
import type { Container, DeploymentUnit, LaunchConfig, Model, Service, Stack } from '../model/index.ts'

const PRIMARY_LAUNCH_CONFIG = 'io.rancher.service.primary.launch.config'

/** `<stack>-<service>[-<sidekick>]-<index>`: what users know a container by. */
export function containerName(stack: Stack, service: Service, config: LaunchConfig, index: number): string {
  const sidekick = config === service.launchConfig ? '' : `-${config.name}`
  return `${stack.name}-${service.name}${sidekick}-${index}`
}

/** A pod's name: lower case, at most 63 characters, unique by the first digits of the unit's uuid. */
export function podName(container: string, unitUuid: string): string {
  const readable = container
    .toLowerCase()
    .replace(/[^a-z0-9-]+/g, '-')
    .replace(/^-+/, '')
    .slice(0, 54)
    .replace(/-+$/, '')
  return `${readable}-${unitUuid.slice(0, 8)}`
}

/** The object for one container that does not exist yet. */
function newContainer(
  stack: Stack,
  service: Service,
  unit: DeploymentUnit,
  config: LaunchConfig,
  projectName: string,
): Omit<Container, 'id' | 'created'> {
  const uuid = randomUUID()
  const name = containerName(stack, service, config, unit.serviceIndex)
  const primary = config === service.launchConfig
  return {
    uuid,
    name,
    state: 'creating',
    clusterId: service.clusterId,
    accountId: service.accountId,
    stackId: stack.id,
    serviceId: service.id,
    deploymentUnitId: unit.id,
    launchConfigName: config.name,
    version: unit.launchVersion,
    serviceIndex: String(unit.serviceIndex),
    identity: uuid,
    image: config.image,
    command: config.command ?? [],
    networkMode: config.networkMode,
    ports: [],
    startCount: 0,
    createIndex: unit.serviceIndex,
    nativeContainer: false,
    hidden: false,
    system: stack.system,
    labels: {
      ...config.labels,
      ...(primary && service.kind === 'loadBalancerService' ? { [LABEL.balancer]: 'true' } : {}),
      [LABEL.containerUuid]: uuid,
      [LABEL.containerName]: name,
      [LABEL.projectName]: projectName,
      [LABEL.stackName]: stack.name,
      [LABEL.stackServiceName]: `${stack.name}/${service.name}${primary ? '' : `/${config.name}`}`,
      [LABEL.deploymentUnit]: unit.uuid,
      [LABEL.launchConfig]: primary ? PRIMARY_LAUNCH_CONFIG : config.name,
    },
  }
}

/**
 * Makes the objects of the unit's containers that are missing. Only the unit controller calls it, which looks at one
 * unit once at a time, so that none is made twice.
 */
export async function ensureUnitContainers(
  model: Model,
  stack: Stack,
  service: Service,
  unit: DeploymentUnit,
): Promise<readonly Container[]> {
  const present = model.containers.where('unit', unit.id)
  const names = new Set(present.map(({ launchConfigName }) => launchConfigName))
  // Once it has containers, a unit is what it was made as; a newer launch config gets a unit of its own.
  if (present.length > 0 && unit.launchVersion !== service.launchVersion) return present
  const missing = [service.launchConfig, ...service.secondaryLaunchConfigs].filter(
    ({ name }) => !names.has(name),
  )
  const { name: projectName } = model.projects.require(service.accountId)
  for (const config of missing) {
    await model.containers.create(newContainer(stack, service, unit, config, projectName))
  }
  return model.containers.where('unit', unit.id)
}
