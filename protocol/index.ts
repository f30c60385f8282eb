export { COMPOSE_VARIABLE, composeVariables } from './compose-variables.ts'
export type {
  ContainerProblem,
  ContainerReport,
  ContainerState,
  PortReport,
} from './container-report.ts'
export { protocolErrors } from './errors.ts'
export { encodeFrame, type Frame, FrameDecoder } from './frames.ts'
export {
  CHECKERS_PER_CONTAINER,
  HEALTH_REPORT_LIMIT,
  type HealthState,
  type HealthVerdict,
  healthReports,
} from './health.ts'
export {
  HOST_EXCHANGE_LIMIT,
  HOST_EXCHANGE_PORT,
  type HostCredentials,
  hostCredentials,
  hostVerdicts,
  VERDICTS_PATH,
} from './host-exchange.ts'
export {
  CLIENT_AUTHORITY,
  CONTAINER_LABELS_ANNOTATION,
  HOST_VOLUME,
  KUBELET_PORT,
  LABEL,
  METADATA_ADDRESS,
  POD_LABEL,
  SERVICE_BLOCK,
} from './labels.ts'
export * from './link/index.ts'
export {
  BACKEND_NAME,
  BALANCER_CONFIG_LIMIT,
  BALANCER_DIRECTORY_VARIABLE,
  BALANCER_HEALTH_PORT,
  BALANCER_IMAGE,
  BALANCER_LEAVING_LIMIT,
  BALANCER_PARTS_LIMIT,
  BALANCER_PROTOCOLS,
  BALANCERS_LIMIT,
  type BalancerCertificate,
  type BalancerConfig,
  type BalancerProtocol,
  type BalancerReport,
  type BalancerStatistics,
  type BalancerTargetConfig,
  balancerConfigProblem,
  balancerConfigSchema,
  balancerTargetConfigSchema,
  certificateNames,
  hasCertificateDirectory,
  type PortRule,
  portRuleSchema,
  type StickinessPolicy,
  stickinessSchema,
  type TargetRule,
  targetRuleSchema,
} from './load-balancer.ts'
export {
  type EnvironmentInfo,
  type HostInfo,
  type InstanceInfo,
  METADATA_MODEL_VERSION,
  type MetadataDelta,
  type MetadataHealthCheck,
  type MetadataObject,
  type MetadataPart,
  type MetadataPort,
  type MetadataPosition,
  type MetadataStep,
  metadataObject,
  metadataPosition,
  metadataStep,
  type NetworkInfo,
  type ServiceInfo,
  type StackInfo,
} from './metadata-model.ts'
export {
  type FlatOptions,
  ipv6Problem,
  missingOption,
  NETWORK_KINDS,
  type NetworkChoice,
  type NetworkKind,
  type NetworkOptions,
  networkChoiceSchema,
  networkOptions,
  type RoutedOptions,
} from './network-options.ts'
export { type NetworkPolicyRule, networkPolicy } from './network-policy.ts'
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
export {
  CHANNEL,
  type ContainerCommand,
  containerCommand,
  type PodConnection,
  podConnection,
} from './remote-command.ts'
export {
  encodeTerminalFrame,
  isTerminalSize,
  TerminalDecoder,
  type TerminalFrame,
  type TerminalSize,
} from './terminal.ts'
