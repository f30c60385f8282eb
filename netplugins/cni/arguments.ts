/**
 * CNI_ARGS: `KEY=value;KEY=value` in the plugin's environment. Old, but the only way for some runtimes to ask for an
 * address, and the one that the 2017 system used.
 */
import { networkErrors } from '../errors.ts'

export interface CniArguments {
  readonly address?: string
  readonly mac?: string
  /** Bytes by which the interface's MTU is smaller than the network's. */
  readonly mtuOverhead?: number
  /** The pod that the container is of. */
  readonly pod?: PodName
}

export interface PodName {
  readonly namespace: string
  readonly name: string
}

/** What may be said without `IgnoreUnknown`: what is used here, and what runtimes and the 2017 system tell of a container. */
const KNOWN =
  /^(IgnoreUnknown|IP|MAC|IPAddress|MACAddress|LinkMTUOverhead|DOCKER|RancherContainerUUID|K8S_[A-Z_]+)$/

function invalid(message: string, expected?: string): Error {
  return networkErrors.InvalidCniEnvironment({
    object: 'CNI_ARGS',
    message,
    ...(expected === undefined ? {} : { expected }),
  })
}

function readOverhead(text: string | undefined): number | undefined {
  if (text === undefined || text === '') return undefined
  if (/^\d{1,4}$/.test(text)) return Number(text)
  throw invalid(`LinkMTUOverhead is ${JSON.stringify(text.slice(0, 40))}`, 'a number of bytes')
}

/** @throws `InvalidCniEnvironment` for what is no pairs, and for unknown keys unless `IgnoreUnknown` is true */
export function readArguments(text: string): CniArguments {
  const values = new Map<string, string>()
  for (const pair of text.split(';').filter(part => part !== '')) {
    const end = pair.indexOf('=')
    if (end < 1) throw invalid(`${JSON.stringify(pair.slice(0, 80))} is no pair`, 'KEY=value;KEY=value')
    values.set(pair.slice(0, end), pair.slice(end + 1))
  }
  const tolerant = /^(1|t|true)$/i.test(values.get('IgnoreUnknown') ?? '')
  const unknown = [...values.keys()].find(key => !KNOWN.test(key))
  if (unknown !== undefined && !tolerant) {
    throw invalid(
      `has the unknown key ${JSON.stringify(unknown.slice(0, 80))}`,
      'IgnoreUnknown=true beside it',
    )
  }
  const address = values.get('IP') || values.get('IPAddress')
  const mac = values.get('MAC') || values.get('MACAddress')
  const mtuOverhead = readOverhead(values.get('LinkMTUOverhead'))
  const namespace = values.get('K8S_POD_NAMESPACE')
  const name = values.get('K8S_POD_NAME')
  return {
    ...(address ? { address } : {}),
    ...(mac ? { mac } : {}),
    ...(mtuOverhead === undefined ? {} : { mtuOverhead }),
    ...(namespace && name ? { pod: { namespace, name } } : {}),
  }
}

/** Pairs as CNI_ARGS. Values with a semicolon cannot be passed on, and are left out. */
export function formatArguments(values: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(values).filter(([, value]) => value !== '' && !value.includes(';'))
  return ['IgnoreUnknown=1', ...pairs.map(([key, value]) => `${key}=${value}`)].join(';')
}
