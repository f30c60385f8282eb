export type { ContainerDetails } from './container-details.ts'
export type { ContainerUsage } from './container-usage.ts'
export {
  DockerEngine,
  type EngineFacts,
  type LogOptions,
  type RegistryLogin,
} from './engine.ts'
export { dockerErrors } from './errors.ts'
export { ContainerInventory, type ContainerListener } from './inventory.ts'
