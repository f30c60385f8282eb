/** What an agent tells the server about the containers on its host: path 2 of a status. */
import { type Static, Type } from '../kit/index.ts'

const portSchema = Type.Object({
  /** The host address it is published on; `0.0.0.0` for every one. */
  address: Type.String(),
  publicPort: Type.Integer({ minimum: 1, maximum: 65535 }),
  privatePort: Type.Integer({ minimum: 1, maximum: 65535 }),
  protocol: Type.Union([Type.Literal('tcp'), Type.Literal('udp')]),
})

export const containerStateSchema = Type.Union([
  Type.Literal('created'),
  Type.Literal('running'),
  Type.Literal('paused'),
  Type.Literal('exited'),
])

/** What Docker says a container does. */
export type ContainerState = Static<typeof containerStateSchema>

const text = (maximum: number) => Type.String({ maxLength: maximum })

/** Everything the server keeps of one Docker container. */
export const containerReportSchema = Type.Object({
  /**
   * What stays the same while Docker containers come and go: the uuid of a container of Drover's, `pod:<uid>/<name>`
   * for another pod's container, else Docker's id.
   */
  identity: text(256),
  /** Docker's 64-digit id. */
  externalId: text(64),
  name: text(256),
  image: text(512),
  state: containerStateSchema,
  exitCode: Type.Optional(Type.Integer()),
  /** ISO 8601; absent when it never started. */
  startedAt: Type.Optional(text(40)),
  createdAt: text(40),
  hostname: text(256),
  command: Type.Array(text(4096), { maxItems: 256 }),
  labels: Type.Record(Type.String(), text(16_384)),
  networkMode: text(128),
  /** The address by which other containers reach it; absent when it has none of its own. */
  primaryIp: Type.Optional(text(45)),
  /** Its IPv6 address, where its network has them. */
  primaryIpv6: Type.Optional(text(45)),
  macAddress: Type.Optional(text(17)),
  ports: Type.Array(portSchema, { maxItems: 1024 }),
  /** The Kubernetes pod it belongs to. */
  pod: Type.Optional(
    Type.Object({ namespace: text(63), name: text(253), uid: text(64), container: text(63) }),
  ),
  /** Part of the machinery, not of the user's work: a pod's sandbox. */
  hidden: Type.Boolean(),
  /** How often it was started, this run included. */
  startCount: Type.Integer({ minimum: 0 }),
})

export type ContainerReport = Static<typeof containerReportSchema>
export type PortReport = Static<typeof portSchema>

/** Why a container that should exist does not, e.g. because its image cannot be pulled. */
export const containerProblemSchema = Type.Object({
  /** `io.rancher.container.uuid` of the container. */
  uuid: text(64),
  /** In Kubernetes' words: `ErrImagePull`, `CreateContainerError`, `RunContainerError`. */
  reason: text(128),
  message: text(4096),
})

export type ContainerProblem = Static<typeof containerProblemSchema>
