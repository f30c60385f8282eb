export type {
  ContainerProblem,
  ContainerReport,
  ContainerState,
  PortReport,
} from './container-report.ts'
export { protocolErrors } from './errors.ts'
export {
  CONTAINER_LABELS_ANNOTATION,
  DNS_SEARCH_ANNOTATION,
  LABEL,
  METADATA_ADDRESS,
  POD_LABEL,
} from './labels.ts'
export {
  type AgentMessage,
  agentMessage,
  decodeStreamData,
  encodeStreamData,
  type HostFacts,
  LINK_MESSAGE_LIMIT,
  LINK_PING_INTERVAL,
  LINK_SILENCE_LIMIT,
  LINK_VERSION,
  type MessageOfType,
  type NetworkAssignment,
  type ServerMessage,
  STATUS_INTERVAL,
  STREAM_WINDOW,
  serverMessage,
} from './link.ts'
export type {
  EnvironmentInfo,
  HostInfo,
  InstanceInfo,
  MetadataDelta,
  MetadataHealthCheck,
  MetadataLink,
  MetadataObject,
  MetadataPort,
  MetadataPosition,
  NetworkInfo,
  ServiceInfo,
  StackInfo,
} from './metadata-model.ts'
export {
  type Connection,
  connection,
  formatRegistrationToken,
  parseRegistrationToken,
  REGISTRATION_USER,
  type RegistrationAnswer,
  type RegistrationRequest,
  type RegistrationTokenParts,
  registrationAnswer,
  registrationRequest,
} from './registration.ts'
