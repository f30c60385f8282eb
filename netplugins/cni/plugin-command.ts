/** Executing a plugin: the runtime's side of the specification's execution protocol (section 2). */
import path from 'node:path'
import { isDroverError, runCommand, Type, validatorOf } from '../../kit/index.ts'
import { networkErrors } from '../errors.ts'
import { errorOfCni } from './failures.ts'
import type { CniCommand, CniErrorObject } from './specification.ts'

/** Milliseconds that a plugin may run. Ours gives up on its agent earlier. */
const PLUGIN_DEADLINE = 120_000

/** Largest output of a plugin, in bytes. */
const OUTPUT_LIMIT = 4 * 1024 * 1024

const ANY_EXIT_CODE = Array.from({ length: 256 }, (_, code) => code)

const failureSchema = Type.Object({
  cniVersion: Type.Optional(Type.String()),
  code: Type.Integer(),
  msg: Type.String(),
  details: Type.Optional(Type.String()),
})

const failureValidator = validatorOf(failureSchema)

export interface PluginCall {
  readonly command: CniCommand
  /** The `type` of the plugin: names its executable. */
  readonly type: string
  /** Where executables are, and the only place where they are looked for. */
  readonly binaryDirectory: string
  readonly configuration: Readonly<Record<string, unknown>>
  /** CNI_CONTAINERID, CNI_NETNS, CNI_IFNAME, CNI_ARGS, as far as the command has them. */
  readonly environment: Readonly<Record<string, string>>
}

/**
 * The file of a plugin. The type comes from a configuration file, and must not lead out of the directory
 * (CVE-2021-20206).
 *
 * @throws `InvalidCniConfiguration`
 */
export function pluginFile(binaryDirectory: string, type: string): string {
  if (!/^[A-Za-z0-9._-]+$/.test(type) || type === '.' || type === '..') {
    throw networkErrors.InvalidCniConfiguration({
      object: `CNI plugin ${JSON.stringify(type)}`,
      message: 'cannot be the name of a plugin',
      expected: 'letters, digits, dots, underscores and hyphens',
    })
  }
  return path.join(binaryDirectory, type)
}

function readFailure(stdout: string): CniErrorObject | undefined {
  try {
    const { cniVersion = '', code, msg, details } = failureValidator.parse(JSON.parse(stdout), 'CNI error')
    return { cniVersion, code, msg, ...(details === undefined ? {} : { details }) }
  } catch {
    return undefined
  }
}

/**
 * Runs a plugin.
 *
 * @returns what it printed, parsed; undefined when that was nothing
 * @throws the error that it printed (see `errorOfCni`), `PluginFailed`, `PluginMissing`
 */
export async function runPlugin(call: PluginCall): Promise<unknown> {
  const file = pluginFile(call.binaryDirectory, call.type)
  const { exitCode, stdout, stderr } = await runCommand(file, [], {
    input: JSON.stringify(call.configuration),
    environment: {
      CNI_COMMAND: call.command,
      CNI_PATH: call.binaryDirectory,
      ...call.environment,
    },
    deadline: PLUGIN_DEADLINE,
    maximumOutput: OUTPUT_LIMIT,
    acceptedExitCodes: ANY_EXIT_CODE,
  }).catch((cause: unknown) => {
    if (!isDroverError(cause, 'CommandMissing')) throw cause
    throw networkErrors.PluginMissing({ object: `CNI plugin ${file}`, cause })
  })
  const object = `CNI plugin ${call.type}`
  if (exitCode !== 0) {
    const failure = readFailure(stdout)
    if (failure !== undefined) throw errorOfCni(failure, call.type)
    throw networkErrors.PluginFailed({
      object,
      message: `failed without saying why (exit code ${exitCode}): ${(stderr || stdout).trim().slice(-400)}`,
    })
  }
  if (stdout.trim() === '') return undefined
  try {
    return JSON.parse(stdout)
  } catch (cause) {
    throw networkErrors.PluginFailed({ object, message: 'printed something other than JSON', cause })
  }
}
