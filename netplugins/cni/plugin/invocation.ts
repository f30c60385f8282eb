/** What a runtime asked the plugin to do: environment variables and standard input, made sense of. */
import {
  CNI_COMMANDS,
  CNI_ERROR_CODE,
  CNI_VERSIONS,
  type CniCommand,
  type CniErrorObject,
  isCniVersion,
  type PluginRequest,
} from '../specification.ts'

export type Invocation =
  | { readonly kind: 'version'; readonly answer: unknown }
  | { readonly kind: 'request'; readonly socket: string; readonly request: PluginRequest }
  | { readonly kind: 'invalid'; readonly error: CniErrorObject }

type Environment = Readonly<Record<string, string | undefined>>

/** The variables that a command cannot do without (specification, section 2, "Parameters"). */
const REQUIRED: Readonly<Record<CniCommand, readonly string[]>> = {
  ADD: ['CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME', 'CNI_PATH'],
  DEL: ['CNI_CONTAINERID', 'CNI_IFNAME', 'CNI_PATH'],
  CHECK: ['CNI_CONTAINERID', 'CNI_NETNS', 'CNI_IFNAME', 'CNI_PATH'],
  STATUS: [],
  GC: ['CNI_PATH'],
}

function invalid(cniVersion: string, code: number, msg: string): Invocation {
  return { kind: 'invalid', error: { cniVersion, code, msg } }
}

function readConfiguration(input: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(input)
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : undefined
  } catch {
    return undefined
  }
}

function readVersionRequest(input: string): Invocation {
  const asked = readConfiguration(input)?.cniVersion
  const cniVersion = typeof asked === 'string' ? asked : CNI_VERSIONS.at(-1)
  return { kind: 'version', answer: { cniVersion, supportedVersions: CNI_VERSIONS } }
}

/** Checks what the runtime passed, as far as that needs no knowledge of the network. */
export function readInvocation(environment: Environment, input: string): Invocation {
  const latest = CNI_VERSIONS[CNI_VERSIONS.length - 1] ?? ''
  const command = CNI_COMMANDS.find(name => name === environment.CNI_COMMAND)
  if (environment.CNI_COMMAND === 'VERSION') return readVersionRequest(input)
  if (command === undefined) {
    return invalid(
      latest,
      CNI_ERROR_CODE.invalidEnvironment,
      `CNI_COMMAND is ${environment.CNI_COMMAND ?? 'not set'}, expected one of ${CNI_COMMANDS.join(', ')}, VERSION`,
    )
  }
  const missing = REQUIRED[command].filter(name => (environment[name] ?? '') === '')
  if (missing.length > 0) {
    return invalid(
      latest,
      CNI_ERROR_CODE.invalidEnvironment,
      `${missing.join(', ')} must be set for ${command}`,
    )
  }
  const configuration = readConfiguration(input)
  if (configuration === undefined) {
    return invalid(
      latest,
      CNI_ERROR_CODE.decodeFailed,
      'the network configuration on standard input is not a JSON object',
    )
  }
  const { cniVersion, socket } = configuration
  if (!isCniVersion(cniVersion)) {
    return invalid(
      typeof cniVersion === 'string' ? cniVersion : latest,
      CNI_ERROR_CODE.incompatibleVersion,
      `cniVersion is ${JSON.stringify(cniVersion)}, expected one of ${CNI_VERSIONS.join(', ')}`,
    )
  }
  if (typeof socket !== 'string' || !socket.startsWith('/')) {
    return invalid(
      cniVersion,
      CNI_ERROR_CODE.invalidConfiguration,
      `socket is ${JSON.stringify(socket)}, expected the path of the agent's CNI socket`,
    )
  }
  return {
    kind: 'request',
    socket,
    request: {
      command,
      containerId: environment.CNI_CONTAINERID ?? '',
      namespace: environment.CNI_NETNS ?? '',
      interfaceName: environment.CNI_IFNAME ?? '',
      arguments: environment.CNI_ARGS ?? '',
      configuration,
    },
  }
}
