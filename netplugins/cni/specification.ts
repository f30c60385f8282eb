/**
 * Names and numbers of the Container Network Interface specification 1.1.0, and what plugin and agent say to each
 * other. Imports nothing: the plugin executable is made of it, and starts for every container.
 *
 * @see https://www.cni.dev/docs/spec/
 */

/** The `type` of our plugin in a network configuration, and so the name of its executable. */
export const PLUGIN_TYPE = 'drover'

/** Spec versions that we speak, oldest first. */
export const CNI_VERSIONS = ['0.3.1', '0.4.0', '1.0.0', '1.1.0'] as const

export type CniVersion = (typeof CNI_VERSIONS)[number]

export function isCniVersion(text: unknown): text is CniVersion {
  return CNI_VERSIONS.some(version => version === text)
}

/** The commands that need an agent; VERSION does not. */
export const CNI_COMMANDS = ['ADD', 'DEL', 'CHECK', 'STATUS', 'GC'] as const

export type CniCommand = (typeof CNI_COMMANDS)[number]

/** Error codes with a meaning fixed by the specification. */
export const CNI_ERROR_CODE = {
  incompatibleVersion: 1,
  unsupportedField: 2,
  unknownContainer: 3,
  invalidEnvironment: 4,
  inputOutput: 5,
  decodeFailed: 6,
  invalidConfiguration: 7,
  invalidNamespace: 8,
  tryAgainLater: 11,
  notAvailable: 50,
  limitedConnectivity: 51,
  internal: 999,
} as const

/** What a failing plugin prints. */
export interface CniErrorObject {
  readonly cniVersion: string
  readonly code: number
  readonly msg: string
  readonly details?: string
}

/** Largest network configuration, in bytes: the bound of what a plugin reads and an agent accepts. */
export const CONFIGURATION_LIMIT = 1024 * 1024

/** Container ids, network names: what may become part of a file's name. */
export const IDENTIFIER_PATTERN = '^[a-zA-Z0-9][a-zA-Z0-9_.-]*$'

/** One line of JSON from the plugin to the agent: its environment and standard input. */
export interface PluginRequest {
  readonly command: CniCommand
  readonly containerId: string
  readonly namespace: string
  readonly interfaceName: string
  /** CNI_ARGS as it was. */
  readonly arguments: string
  readonly configuration: Readonly<Record<string, unknown>>
}

/** One line of JSON back. No result for commands that print none. */
export type PluginAnswer = { readonly result?: unknown } | { readonly error: CniErrorObject }
