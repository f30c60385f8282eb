export { type ChangeListener, Collection } from './collection.ts'
export { modelErrors } from './errors.ts'
export { type IndexName, kinds } from './kinds.ts'
export { Model } from './model.ts'
export type {
  AddressBlock,
  ApiKey,
  ApiKeyRole,
  BindMount,
  Cluster,
  Container,
  DeploymentUnit,
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
} from './objects.ts'
