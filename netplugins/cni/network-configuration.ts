/** Network configurations: lists on disk, and what of them reaches a plugin. */
import { type Static, Type, validatorOf } from '../../kit/index.ts'
import { IDENTIFIER_PATTERN } from './specification.ts'

const identifier = Type.String({ pattern: IDENTIFIER_PATTERN, maxLength: 255 })

/** Convention `portMappings` (CONVENTIONS.md of the specification). */
const portMappingSchema = Type.Object({
  hostPort: Type.Integer({ minimum: 1, maximum: 65535 }),
  containerPort: Type.Integer({ minimum: 1, maximum: 65535 }),
  protocol: Type.Optional(Type.String({ maxLength: 16 })),
  hostIP: Type.Optional(Type.String({ maxLength: 64 })),
})

/** The largest that the kernel's limits can express, and larger than every network. */
const rate = Type.Integer({ minimum: 0, maximum: 1e15 })

/** What the runtime passes for the capabilities that a plugin declares. */
const runtimeConfigurationSchema = Type.Object({
  portMappings: Type.Optional(Type.Array(portMappingSchema, { maxItems: 1024 })),
  /** Requested addresses, with or without prefix length. */
  ips: Type.Optional(Type.Array(Type.String({ maxLength: 64 }), { maxItems: 16 })),
  mac: Type.Optional(Type.String({ maxLength: 64 })),
  /** Bits per second and bits. */
  bandwidth: Type.Optional(
    Type.Object({
      ingressRate: Type.Optional(rate),
      ingressBurst: Type.Optional(rate),
      egressRate: Type.Optional(rate),
      egressBurst: Type.Optional(rate),
    }),
  ),
})

/** Arguments that somebody wrote into the configuration itself (CONVENTIONS.md, "args"). */
const configuredArgumentsSchema = Type.Object({
  cni: Type.Optional(
    Type.Object({ ips: Type.Optional(Type.Array(Type.String({ maxLength: 64 }), { maxItems: 16 })) }),
  ),
})

const validAttachmentSchema = Type.Object({
  containerID: Type.String({ maxLength: 255 }),
  ifname: Type.String({ maxLength: 15 }),
})

const pluginConfigurationSchema = Type.Object({
  cniVersion: Type.String({ maxLength: 32 }),
  name: identifier,
  type: Type.String({ maxLength: 255 }),
  runtimeConfig: Type.Optional(runtimeConfigurationSchema),
  args: Type.Optional(configuredArgumentsSchema),
  prevResult: Type.Optional(Type.Unknown()),
  'cni.dev/valid-attachments': Type.Optional(Type.Array(validAttachmentSchema, { maxItems: 65_536 })),
})

/** What our plugin reads of the configuration that a runtime passes to it. */
export type PluginConfiguration = Static<typeof pluginConfigurationSchema>
export const pluginConfiguration = validatorOf(pluginConfigurationSchema)

export type PluginBandwidth = NonNullable<NonNullable<PluginConfiguration['runtimeConfig']>['bandwidth']>

export type PortMapping = Static<typeof portMappingSchema>

const listedPluginSchema = Type.Object({
  type: Type.String({ minLength: 1, maxLength: 255 }),
  capabilities: Type.Optional(Type.Record(Type.String(), Type.Boolean())),
})

export const networkListSchema = Type.Object({
  cniVersion: Type.Optional(Type.String({ maxLength: 32 })),
  cniVersions: Type.Optional(Type.Array(Type.String({ maxLength: 32 }), { maxItems: 64 })),
  name: identifier,
  disableCheck: Type.Optional(Type.Boolean()),
  disableGC: Type.Optional(Type.Boolean()),
  plugins: Type.Array(listedPluginSchema, { minItems: 1, maxItems: 64 }),
})

/** A network configuration list, as a `.conflist` file holds it. */
export type NetworkList = Static<typeof networkListSchema>
export const networkList = validatorOf(networkListSchema)

/** One plugin of a list, with the fields that are its own business. */
export type ListedPlugin = NetworkList['plugins'][number]
