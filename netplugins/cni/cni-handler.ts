/** From a line that the plugin sent to a call of the handler, and from what that does to the plugin's answer. */
import { atMost, Type, validatorOf } from '../../kit/index.ts'
import { networkErrors } from '../errors.ts'
import { type PodName, readArguments } from './arguments.ts'
import { cniErrorObject } from './failures.ts'
import {
  type PluginBandwidth,
  type PluginConfiguration,
  type PortMapping,
  pluginConfiguration,
} from './network-configuration.ts'
import { appendResult, type CniResult, formatResult, parseResult } from './result.ts'
import {
  CNI_VERSIONS,
  type CniCommand,
  type CniVersion,
  IDENTIFIER_PATTERN,
  isCniVersion,
  type PluginAnswer,
} from './specification.ts'

/** Milliseconds that a command may take. The plugin gives up later, so that it can pass on our error. */
const COMMAND_DEADLINE = 80_000

/** What an ADD, DEL or CHECK is about. */
export interface CniAttachmentRequest {
  readonly networkName: string
  readonly containerId: string
  readonly interfaceName: string
  /** File of the container's network namespace; a DEL may come without. */
  readonly namespace: string | undefined
  readonly portMappings: readonly PortMapping[]
  /** Requested addresses, with or without prefix length. */
  readonly addresses: readonly string[]
  readonly mac: string | undefined
  /** Bytes by which the interface's MTU is smaller than the network's. */
  readonly mtuOverhead: number
  /** Bits per second and bits; 0 is no limit. */
  readonly bandwidth: PluginBandwidth | undefined
  /** Whose it is, where the runtime says so. */
  readonly pod: PodName | undefined
  /** What earlier plugins of the chain made; for CHECK, what the whole chain made; nothing for DEL. */
  readonly previousResult: CniResult | undefined
}

/** Names one interface of one container. */
export interface ValidAttachment {
  readonly containerId: string
  readonly interfaceName: string
}

/** What serves the plugin. Every method may throw any error; the runtime is told its code and text. */
export interface CniHandler {
  /** Joins a container to the network. @returns what this plugin made, without the previous result */
  add(request: CniAttachmentRequest): Promise<CniResult>
  /** Takes it out again. Nothing to take out is success. */
  delete(request: CniAttachmentRequest): Promise<void>
  /** Throws when the attachment is not as it was made. */
  check(request: CniAttachmentRequest): Promise<void>
  /** Throws when an ADD could not be served. */
  status(): Promise<void>
  /** Deletes every attachment of the network that is not listed. */
  collectGarbage(networkName: string, valid: readonly ValidAttachment[]): Promise<void>
}

const requestSchema = Type.Object({
  command: Type.Union([
    Type.Literal('ADD'),
    Type.Literal('DEL'),
    Type.Literal('CHECK'),
    Type.Literal('STATUS'),
    Type.Literal('GC'),
  ]),
  containerId: Type.String({ maxLength: 65_536 }),
  namespace: Type.String({ maxLength: 4096 }),
  interfaceName: Type.String({ maxLength: 255 }),
  arguments: Type.String({ maxLength: 65_536 }),
  configuration: Type.Unknown(),
})

const pluginRequest = validatorOf(requestSchema)

type Request = ReturnType<typeof pluginRequest.parse>

/** The first spec version that has the command. */
const SINCE: Readonly<Partial<Record<CniCommand, CniVersion>>> = {
  CHECK: '0.4.0',
  STATUS: '1.1.0',
  GC: '1.1.0',
}

function requireVersion(command: CniCommand, version: string): CniVersion {
  const fitting = CNI_VERSIONS.slice(CNI_VERSIONS.indexOf(SINCE[command] ?? CNI_VERSIONS[0]))
  if (isCniVersion(version) && fitting.includes(version)) return version
  throw networkErrors.IncompatibleCniVersion({
    object: 'cniVersion',
    message: `${command} is not possible with CNI version ${version}`,
    expected: `one of ${fitting.join(', ')}`,
  })
}

/** @throws `InvalidCniEnvironment` for what Linux does not take for an interface's name (specification, section 2) */
function requireInterfaceName(name: string): string {
  if (/^[^\s/:]{1,15}$/.test(name) && name !== '.' && name !== '..') return name
  throw networkErrors.InvalidCniEnvironment({
    object: 'CNI_IFNAME',
    message: `${JSON.stringify(name)} cannot name a network interface`,
    expected: '1 to 15 characters other than spaces, / and :',
  })
}

/** @throws `InvalidCniEnvironment` (specification, section 2, "Parameters") */
function requireContainerId(id: string): string {
  if (new RegExp(IDENTIFIER_PATTERN).test(id) && id.length <= 255) return id
  throw networkErrors.InvalidCniEnvironment({
    object: 'CNI_CONTAINERID',
    message: `${JSON.stringify(id.slice(0, 80))} cannot be the id of a container`,
    expected: '1 to 255 letters, digits, dots, underscores and hyphens, beginning with a letter or digit',
  })
}

function readAttachment(request: Request, configuration: PluginConfiguration): CniAttachmentRequest {
  const { portMappings = [], ips, mac, bandwidth } = configuration.runtimeConfig ?? {}
  const { prevResult } = configuration
  // A DEL must work whatever is left of the result, so it is not even read.
  // Nor what was asked for when it was made.
  const asked = request.command === 'DEL' ? {} : readArguments(request.arguments)
  const reads = request.command !== 'DEL' && prevResult !== undefined && prevResult !== null
  return {
    networkName: configuration.name,
    containerId: requireContainerId(request.containerId),
    interfaceName: requireInterfaceName(request.interfaceName),
    namespace: request.namespace === '' ? undefined : request.namespace,
    portMappings,
    // What is newer goes before: capabilities, then arguments in the configuration, then those in the environment.
    addresses: ips ?? configuration.args?.cni?.ips ?? (asked.address === undefined ? [] : [asked.address]),
    mac: mac ?? asked.mac,
    mtuOverhead: asked.mtuOverhead ?? 0,
    bandwidth,
    pod: asked.pod,
    previousResult: reads ? parseResult(prevResult, 'prevResult') : undefined,
  }
}

async function serve(
  handler: CniHandler,
  request: Request,
  configuration: PluginConfiguration,
): Promise<CniResult | undefined> {
  switch (request.command) {
    case 'ADD': {
      const attachment = readAttachment(request, configuration)
      return appendResult(attachment.previousResult, await handler.add(attachment))
    }
    case 'DEL':
      await handler.delete(readAttachment(request, configuration))
      return undefined
    case 'CHECK':
      await handler.check(readAttachment(request, configuration))
      return undefined
    case 'STATUS':
      await handler.status()
      return undefined
    case 'GC': {
      const valid = configuration['cni.dev/valid-attachments'] ?? []
      await handler.collectGarbage(
        configuration.name,
        valid.map(({ containerID, ifname }) => ({ containerId: containerID, interfaceName: ifname })),
      )
      return undefined
    }
  }
}

/**
 * Serves one request.
 *
 * @param line the JSON that the plugin sent
 * @param onError told of what the plugin is told
 */
export async function serveRequest(
  handler: CniHandler,
  line: string,
  onError: (error: unknown) => void,
): Promise<PluginAnswer> {
  let cniVersion: string = CNI_VERSIONS[0]
  try {
    const request = pluginRequest.parse(JSON.parse(line), 'CNI request')
    const configuration = pluginConfiguration.parse(request.configuration, 'network configuration')
    cniVersion = configuration.cniVersion
    const version = requireVersion(request.command, cniVersion)
    const work = serve(handler, request, configuration)
    const result = await atMost(COMMAND_DEADLINE, `CNI ${request.command} ${request.containerId}`, work)
    return result === undefined ? {} : { result: formatResult(result, version) }
  } catch (error) {
    onError(error)
    return { error: cniErrorObject(error, cniVersion) }
  }
}
