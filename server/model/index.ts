export { type ChangeListener, Collection } from './collection.ts'
export { modelErrors } from './errors.ts'
export { healthCheckDefaults, healthCheckOf, isServing, shownHealth } from './health.ts'
export { type IndexName, kinds } from './kinds.ts'
export { Model } from './model.ts'
export type {
  AddressBlock,
  ApiKey,
  ApiKeyRole,
  BindMount,
  Certificate,
  Cluster,
  Container,
  ContainerHealth,
  DeploymentUnit,
  HealthCheck,
  Host,
  LaunchConfig,
  ModelKind,
  ModelObject,
  Network,
  ObjectOfKind,
  PortSpecification,
  Project,
  RegistrationToken,
  Service,
  ServiceLink,
  Stack,
  SummaryHealth,
} from './objects.ts'
