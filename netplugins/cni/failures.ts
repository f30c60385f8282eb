/** Drover's errors as the numbers that cross a plugin's standard output, and back. */
import { DroverError, explainError } from '../../kit/index.ts'
import { networkErrors } from '../errors.ts'
import { CNI_ERROR_CODE, type CniErrorObject, PLUGIN_TYPE } from './specification.ts'

type NetworkErrorCode = keyof typeof networkErrors

/**
 * Error codes and their numbers. Numbers from 100 on have no meaning but the one that the plugin `drover` gives them.
 * Of several errors with one number the first is what the number is read as.
 */
const NUMBERS: readonly (readonly [code: string, number: number])[] = [
  ['IncompatibleCniVersion', CNI_ERROR_CODE.incompatibleVersion],
  ['UnsupportedCniField', CNI_ERROR_CODE.unsupportedField],
  ['UnknownContainer', CNI_ERROR_CODE.unknownContainer],
  ['InvalidCniEnvironment', CNI_ERROR_CODE.invalidEnvironment],
  ['InvalidCniConfiguration', CNI_ERROR_CODE.invalidConfiguration],
  ['InvalidFormat', CNI_ERROR_CODE.invalidConfiguration],
  ['NamespaceMissing', CNI_ERROR_CODE.invalidNamespace],
  ['TryAgainLater', CNI_ERROR_CODE.tryAgainLater],
  ['BlockExhausted', CNI_ERROR_CODE.tryAgainLater],
  ['Stopped', CNI_ERROR_CODE.tryAgainLater],
  ['QueueFull', CNI_ERROR_CODE.tryAgainLater],
  ['DeadlineExceeded', CNI_ERROR_CODE.tryAgainLater],
  ['NetworkNotReady', CNI_ERROR_CODE.notAvailable],
  ['LimitedConnectivity', CNI_ERROR_CODE.limitedConnectivity],
  ['PortInUse', 101],
  ['BindAddressMissing', 102],
  ['AddressInUse', 103],
  ['AddressNotAvailable', 104],
  ['AlreadyAttached', 105],
  ['AttachmentBroken', 106],
  ['NamespaceRefused', 107],
  ['KernelRefused', 108],
  ['RulesRefused', 109],
]

function isNetworkErrorCode(code: string): code is NetworkErrorCode {
  return code in networkErrors
}

function numberOf(error: DroverError): number {
  return NUMBERS.find(([code]) => code === error.code)?.[1] ?? CNI_ERROR_CODE.internal
}

/** What a plugin prints for `error`. */
export function cniErrorObject(error: unknown, cniVersion: string): CniErrorObject {
  if (!(error instanceof DroverError)) {
    return { cniVersion, code: CNI_ERROR_CODE.internal, msg: explainError(error) }
  }
  const advice = [error.expected === undefined ? undefined : `expected ${error.expected}`, error.mend]
    .filter(part => part !== undefined)
    .join('; ')
  return {
    cniVersion,
    code: numberOf(error),
    msg: error.message,
    ...(advice === '' ? {} : { details: advice }),
  }
}

/**
 * The error that a plugin's printed error object stands for.
 *
 * @param plugin the type of the plugin that printed it; numbers from 100 on are known of `drover` alone
 */
export function errorOfCni(failure: CniErrorObject, plugin: string): DroverError {
  const known = NUMBERS.find(
    ([, number]) => number === failure.code && (number < 100 || plugin === PLUGIN_TYPE),
  )?.[0]
  const mend = failure.details === undefined ? {} : { mend: failure.details }
  if (known !== undefined && isNetworkErrorCode(known)) {
    return networkErrors[known]({ message: failure.msg, ...mend })
  }
  return networkErrors.PluginFailed({
    object: `CNI plugin ${plugin}`,
    message: `${failure.msg} (code ${failure.code})`,
    ...mend,
  })
}
