/**
 * Drover's own constructs, as they are stored in the space `system`.
 *
 * Field names are those of the `/v3` API where it shows the field; what it does not show is said here.
 */

import type {
  BalancerConfig,
  BalancerTargetConfig,
  HealthState,
  NetworkKind,
  NetworkOptions,
  NetworkPolicyRule,
  PortReport,
} from '../../protocol/index.ts'
import type { KubernetesVersion } from '../../protocol/kubernetes/index.ts'

/** What every stored construct has. */
export interface ModelObject {
  /** Opaque: `1` + type letters + number. */
  readonly id: string
  readonly uuid: string
  readonly name: string
  readonly description?: string
  /** ISO 8601 (UTC). */
  readonly created: string
  readonly state: string
  /** Why it is in this state, when there is something to say. */
  readonly transitioningMessage?: string
}

export interface Cluster extends ModelObject {
  readonly state: 'activating' | 'active' | 'removing'
  readonly embedded: boolean
  /** Of its API; the server's default as long as nobody chose. */
  readonly kubernetesVersion?: KubernetesVersion
  /** Where its API is at the root, beside its path on the server's own port. */
  readonly kubernetesPort?: number
  /** All containers of the cluster have addresses in this block. */
  readonly clusterBlock: string
  /** The environment that owns hosts and networks. */
  readonly systemProjectId?: string
  /** Where containers go that say nothing about their environment. */
  readonly defaultProjectId?: string
  readonly defaultNetworkId?: string
}

/** An environment. */
export interface Project extends ModelObject {
  readonly state: 'active' | 'removing'
  readonly clusterId: string
  /** The cluster's own environment. */
  readonly clusterOwner: boolean
  /** The Kubernetes namespace. */
  readonly externalId: string
}

export interface Host extends ModelObject {
  readonly state: 'active' | 'inactive' | 'removing'
  /** What its agent does: the server's view of the connection. */
  readonly agentState: 'registering' | 'active' | 'reconnecting' | 'disconnected'
  readonly clusterId: string
  readonly hostname: string
  readonly nodeName: string
  /** SHA-256 of the key that the host registered with; not shown. */
  readonly keyHash: string
  readonly agentIpAddress: string
  readonly labels: Readonly<Record<string, string>>
  readonly memory: number
  readonly milliCpu: number
  readonly localStorageMb: number
  readonly info: {
    readonly osInfo: {
      readonly operatingSystem: string
      readonly kernelVersion: string
      readonly dockerVersion: string
    }
    readonly agentVersion: string
  }
}

export type ApiKeyRole =
  /** May do everything. */
  | { readonly kind: 'admin' }
  /** The agent of one host. */
  | { readonly kind: 'agent'; readonly hostId: string; readonly clusterId: string }

export interface ApiKey extends ModelObject {
  readonly state: 'active' | 'inactive'
  /** The access key. */
  readonly publicValue: string
  /** SHA-256 of the secret key, hex; not shown. The secret itself has too many bits to be guessed from it. */
  readonly secretHash: string
  readonly role: ApiKeyRole
}

export interface RegistrationToken extends ModelObject {
  readonly state: 'active' | 'inactive'
  readonly clusterId: string
  readonly publicValue: string
  /** Milliseconds since 1970 (UTC). */
  readonly expires: number
}

export interface Stack extends ModelObject {
  readonly state: 'active' | 'removing'
  readonly clusterId: string
  /** The environment. */
  readonly accountId: string
  /** File name → text, as the user wrote them. */
  readonly templates: Readonly<Record<string, string>>
  /** Values of the variables that the templates use. */
  readonly answers: Readonly<Record<string, string>>
  /** What the stack was made from before the last upgrade, until that is confirmed or rolled back. */
  readonly previous?: {
    readonly templates: Readonly<Record<string, string>>
    readonly answers: Readonly<Record<string, string>>
  }
  readonly system: boolean
  readonly healthState?: SummaryHealth
}

export interface ServiceLink {
  /** The name by which containers of this service call the other. */
  readonly alias: string
  /** `service` of the same stack, or `stack/service`. */
  readonly name: string
}

export interface PortSpecification {
  /** Absent: every address of the host. */
  readonly address?: string
  readonly publicPort: number
  readonly privatePort: number
  readonly protocol: 'tcp' | 'udp'
}

export interface BindMount {
  readonly hostPath: string
  readonly containerPath: string
  readonly readOnly: boolean
}

/** How it is found out whether a container does its work, and what follows when it does not. Times in milliseconds. */
export interface HealthCheck {
  readonly port: number
  /** Absent: that it takes a TCP connection is enough. */
  readonly requestLine?: string
  readonly interval: number
  readonly responseTimeout: number
  /** So many successes make it healthy, so many failures unhealthy. */
  readonly healthyThreshold: number
  readonly unhealthyThreshold: number
  /** How long its first run, or a later one, may take until it is healthy. */
  readonly initializingTimeout: number
  readonly reinitializingTimeout: number
  /** What is done with one that is unhealthy; `recreateOnQuorum`: replaced while `quorum` others are healthy. */
  readonly strategy: 'recreate' | 'none' | 'recreateOnQuorum'
  readonly quorum?: number
}

/** What a container of a service is made from. */
export interface LaunchConfig {
  /** The service's name for the primary one, the sidekick's for others. */
  readonly name: string
  readonly image: string
  readonly command?: readonly string[]
  readonly entryPoint?: readonly string[]
  readonly environment: Readonly<Record<string, string>>
  readonly labels: Readonly<Record<string, string>>
  readonly ports: readonly PortSpecification[]
  /** `8080/tcp`. */
  readonly expose: readonly string[]
  readonly hostname?: string
  readonly workingDir?: string
  /** `uid` or `uid:gid`, numbers. */
  readonly user?: string
  readonly tty: boolean
  readonly stdinOpen: boolean
  readonly privileged: boolean
  readonly readOnly: boolean
  readonly capAdd: readonly string[]
  readonly capDrop: readonly string[]
  /** `name:address`. */
  readonly extraHosts: readonly string[]
  readonly dns: readonly string[]
  readonly dnsSearch: readonly string[]
  readonly binds: readonly BindMount[]
  /** Bytes. */
  readonly memory?: number
  /** Bytes. */
  readonly memoryReservation?: number
  readonly milliCpu?: number
  readonly milliCpuReservation?: number
  readonly networkMode: 'managed' | 'host'
  readonly restart: 'always' | 'on-failure' | 'no'
  /** Seconds between asking a container to stop and ending it. */
  readonly stopTimeout: number
  /** Its change replaces no container. */
  readonly healthCheck?: HealthCheck
}

export interface Service extends ModelObject {
  readonly state: 'activating' | 'active' | 'upgrading' | 'removing'
  readonly clusterId: string
  readonly accountId: string
  readonly stackId: string
  /** `dnsService` and `externalService` have no containers: they are names for other services, or for what is outside. */
  readonly kind: 'service' | 'loadBalancerService' | 'dnsService' | 'externalService'
  /** Of a load balancer. */
  readonly lbConfig?: BalancerConfig
  /** What it asks of the balancers that choose it. */
  readonly lbTargetConfig?: BalancerTargetConfig
  /** Milliseconds for which containers that are to end are left the clients that balancers sent them. */
  readonly drainTimeout?: number
  /** Of an external service: its addresses, or else its name. */
  readonly externalIps: readonly string[]
  readonly externalHostname?: string
  readonly scale: number
  readonly launchConfig: LaunchConfig
  /** The sidekicks. */
  readonly secondaryLaunchConfigs: readonly LaunchConfig[]
  readonly serviceLinks: readonly ServiceLink[]
  /** Services of the same stack that are started first. */
  readonly dependsOn: readonly string[]
  readonly metadata: Readonly<Record<string, unknown>>
  /** Changes whenever containers have to be replaced; units carry the value they were made from. */
  readonly launchVersion: string
  /** How many units are replaced at a time. */
  readonly batchSize: number
  readonly startFirst: boolean
  readonly createIndex: number
  /** Of its containers together. */
  readonly healthState?: SummaryHealth
}

/** The health of several things together. */
export type SummaryHealth = 'healthy' | 'initializing' | 'degraded' | 'unhealthy'

/** One instance of a service: its container and sidekicks, one pod. */
export interface DeploymentUnit extends ModelObject {
  /** `removing` units keep their index until their pod is gone. */
  readonly state: 'active' | 'removing'
  readonly clusterId: string
  readonly accountId: string
  readonly stackId: string
  readonly serviceId: string
  /** 1 to scale. */
  readonly serviceIndex: number
  readonly launchVersion: string
  /** While it is to end, and its containers are left the clients they have: until when. ISO 8601. */
  readonly drainUntil?: string
  /** The pod's name. */
  readonly externalId: string
  readonly hostId?: string
}

/** What the checks of a container have found out. */
export interface ContainerHealth {
  readonly state: HealthState
  /** The start count of the run that this is about. */
  readonly epoch: number
  /** uuids of the hosts that check it. */
  readonly checkers: readonly string[]
}

export interface Container extends ModelObject {
  readonly state: 'creating' | 'starting' | 'running' | 'paused' | 'stopped' | 'error' | 'removing'
  readonly clusterId: string
  readonly accountId: string
  readonly stackId?: string
  readonly serviceId?: string
  readonly deploymentUnitId?: string
  /** Which launch config of the service it was made from. */
  readonly launchConfigName?: string
  /** The service's `launchVersion` that it was made from. */
  readonly version?: string
  readonly serviceIndex?: string
  readonly hostId?: string
  /**
   * What stays the same while Docker containers come and go: the uuid, or for containers that Drover did not make, the
   * agent's name for them. Not shown.
   */
  readonly identity: string
  /** Docker's id. */
  readonly externalId?: string
  readonly image: string
  readonly command: readonly string[]
  readonly hostname?: string
  readonly labels: Readonly<Record<string, string>>
  readonly primaryIpAddress?: string
  readonly primaryIpv6Address?: string
  readonly primaryMacAddress?: string
  /** `managed`, or Docker's word for a container that was started by hand. */
  readonly networkMode: string
  readonly ports: readonly PortReport[]
  readonly exitCode?: number
  /** How often it was started, whatever Docker container it was then. */
  readonly startCount: number
  /** ISO 8601. */
  readonly lastStart?: string
  readonly createIndex: number
  /** Started by something else than Drover. */
  readonly nativeContainer: boolean
  /** Part of the machinery. */
  readonly hidden: boolean
  readonly system: boolean
  /** Present while it has a health check. Shown as `healthState` and `healthcheckStates`. */
  readonly health?: ContainerHealth
  /** Gets no new clients from balancers: it is to end. */
  readonly draining?: true
  /** Of a load balancer: what stands in the way of what it was told to do. */
  readonly balancerProblem?: string
  /** What Kubernetes says of its readiness; absent when Kubernetes says nothing. */
  readonly ready?: boolean
}

export interface Network extends ModelObject {
  readonly state: 'active'
  readonly clusterId: string
  readonly kind: NetworkKind
  readonly options: NetworkOptions
  /** Rises when the key that hosts prove themselves with is to be another one. */
  readonly keyVersion: number
  readonly isDefault: boolean
  readonly hostPorts: boolean
  readonly subnets: readonly { readonly networkAddress: string }[]
  readonly dns: readonly string[]
  readonly defaultPolicyAction: 'allow' | 'deny'
  /** Rules in order, first match counts; their form is `networkPolicyRule` of the protocol. */
  readonly policy: readonly NetworkPolicyRule[]
}

/** A block of container addresses given to a host. Its name is the block. */
export interface AddressBlock extends ModelObject {
  readonly state: 'active'
  readonly clusterId: string
  readonly hostId: string
}

/** A certificate of an environment, for its load balancers. */
export interface Certificate extends ModelObject {
  readonly state: 'active'
  readonly clusterId: string
  readonly accountId: string
  /** PEM: the certificate, and those between it and its authority. */
  readonly cert: string
  readonly certChain: string
  /** Sealed; not shown. */
  readonly sealedKey: string
  /** SHA-256 of the certificate, hex. */
  readonly fingerprint: string
}

/** Every kind of stored construct. */
export interface ObjectOfKind {
  cluster: Cluster
  project: Project
  host: Host
  apiKey: ApiKey
  registrationToken: RegistrationToken
  stack: Stack
  service: Service
  deploymentUnit: DeploymentUnit
  container: Container
  network: Network
  addressBlock: AddressBlock
  certificate: Certificate
}

export type ModelKind = keyof ObjectOfKind
