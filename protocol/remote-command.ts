/**
 * Commands in the containers of pods, between the server and the agent: parameters of the streams `pod-exec`,
 * `pod-attach` and `pod-connect`, and the channels of the first two, which are frames of a kind each.
 */
import { type Static, Type, validatorOf } from '../kit/index.ts'

/** Numbered as in the protocols of Kubernetes' clients (`v5.channel.k8s.io`). */
export const CHANNEL = {
  input: 0,
  output: 1,
  errors: 2,
  /** How it ended: a `Status` of the Kubernetes API as JSON, once. */
  outcome: 3,
  /** `{"Width":80,"Height":24}` */
  size: 4,
  /** Nothing more comes on the channel whose number is the content. */
  close: 255,
} as const

const Pod = {
  namespace: Type.String({ maxLength: 63 }),
  pod: Type.String({ maxLength: 253 }),
  uid: Type.String({ maxLength: 64 }),
}

const commandSchema = Type.Object({
  ...Pod,
  container: Type.String({ maxLength: 63 }),
  /** Empty to be connected with what runs already. */
  command: Type.Array(Type.String({ maxLength: 131_072 }), { maxItems: 1024 }),
  stdin: Type.Boolean(),
  stdout: Type.Boolean(),
  stderr: Type.Boolean(),
  tty: Type.Boolean(),
})

const connectionSchema = Type.Object({
  ...Pod,
  port: Type.Integer({ minimum: 1, maximum: 65_535 }),
})

/** What shall run, or be attached to, and which of its streams are wanted. */
export type ContainerCommand = Omit<Static<typeof commandSchema>, 'command'> & {
  readonly command: readonly string[]
}
/** A port of a pod, as its own processes reach it. */
export type PodConnection = Static<typeof connectionSchema>

export const containerCommand = validatorOf(commandSchema)
export const podConnection = validatorOf(connectionSchema)
