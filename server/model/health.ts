/** Health checks and what they say, as far as everybody has to see it the same way. */
import type { HealthState } from '../../protocol/index.ts'
import type { Container, HealthCheck, Service } from './objects.ts'

/** What a health check is that says nothing but its port (cattle's InstanceHealthCheck). */
export const healthCheckDefaults: Omit<HealthCheck, 'port'> = {
  interval: 2_000,
  responseTimeout: 2_000,
  healthyThreshold: 2,
  unhealthyThreshold: 3,
  initializingTimeout: 120_000,
  reinitializingTimeout: 60_000,
  strategy: 'recreate',
}

/** The health check of a container of a service: that of the launch config it was made from. */
export function healthCheckOf(
  service: Pick<Service, 'launchConfig' | 'secondaryLaunchConfigs'> | undefined,
  container: Pick<Container, 'launchConfigName'>,
): HealthCheck | undefined {
  if (service === undefined) return undefined
  const configs = [service.launchConfig, ...service.secondaryLaunchConfigs]
  return configs.find(({ name }) => name === container.launchConfigName)?.healthCheck
}

/**
 * A container's health as it is shown: what its checks say and what Kubernetes says of its readiness both count. Undefined
 * when neither says anything; then it is as healthy as it runs.
 */
export function shownHealth({
  state,
  health,
  ready,
}: Pick<Container, 'state' | 'health' | 'ready'>): HealthState | undefined {
  const notReady = state === 'running' && ready === false
  if (health === undefined) return notReady ? 'initializing' : undefined
  return notReady && health.state === 'healthy' ? 'unhealthy' : health.state
}

/** Whether a container does its work, as far as is known. `checked`: it has a health check. */
export function isServing(
  container: Pick<Container, 'state' | 'health' | 'ready'>,
  checked: boolean,
): boolean {
  const health = shownHealth(container)
  return container.state === 'running' && (health === undefined ? !checked : health === 'healthy')
}
