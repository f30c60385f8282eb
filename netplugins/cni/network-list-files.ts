/** Network configuration lists on disk. */
import { open, readdir } from 'node:fs/promises'
import path from 'node:path'
import { systemErrorCode } from '../../kit/index.ts'
import { networkErrors } from '../errors.ts'
import { type NetworkList, networkList } from './network-configuration.ts'
import { CNI_VERSIONS, type CniVersion, CONFIGURATION_LIMIT } from './specification.ts'

/** The endings that runtimes look for, as the kubelet does. */
const ENDINGS = ['.conflist', '.conf', '.json']

async function readBounded(file: string): Promise<string> {
  const handle = await open(file, 'r')
  try {
    const { size } = await handle.stat()
    if (size > CONFIGURATION_LIMIT) {
      throw networkErrors.InvalidCniConfiguration({
        object: file,
        message: 'is too long',
        expected: `at most ${CONFIGURATION_LIMIT} bytes`,
      })
    }
    return await handle.readFile('utf8')
  } finally {
    await handle.close()
  }
}

function parseList(text: string, file: string): NetworkList {
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null && 'type' in value && !('plugins' in value)) {
      const { cniVersion, name } = value as Record<string, unknown>
      return networkList.parse({ cniVersion, name, plugins: [value] }, file)
    }
    return networkList.parse(value, file)
  } catch (cause) {
    throw networkErrors.InvalidCniConfiguration({ object: file, cause })
  }
}

/**
 * Reads the network that a directory configures: its first file in alphabetical order.
 *
 * @throws `NetworkNotReady` when there is none, `InvalidCniConfiguration`
 */
export async function readNetworkList(directory: string): Promise<NetworkList> {
  const names = await readdir(directory).catch((error: unknown) => {
    if (systemErrorCode(error) === 'ENOENT') return []
    throw error
  })
  const first = names.filter(name => ENDINGS.includes(path.extname(name))).toSorted()[0]
  if (first === undefined) {
    throw networkErrors.NetworkNotReady({
      object: directory,
      message: 'holds no network configuration',
      mend: 'wait until the agent has installed one',
    })
  }
  const file = path.join(directory, first)
  return parseList(await readBounded(file), file)
}

/**
 * The newest version that both the list and we speak (specification, section 1, "Version considerations").
 *
 * @throws `IncompatibleCniVersion`
 */
export function chooseVersion(list: NetworkList): CniVersion {
  const offered = [...(list.cniVersions ?? []), ...(list.cniVersion === undefined ? [] : [list.cniVersion])]
  const version = CNI_VERSIONS.filter(ours => offered.includes(ours)).at(-1)
  if (version === undefined) {
    throw networkErrors.IncompatibleCniVersion({
      object: `network ${list.name}`,
      message: `has the CNI version ${offered.join(', ') || 'none'}`,
      expected: `one of ${CNI_VERSIONS.join(', ')}`,
    })
  }
  return version
}

/** Whether `version` is `since` or newer. */
export function isAtLeast(version: CniVersion, since: CniVersion): boolean {
  return CNI_VERSIONS.indexOf(version) >= CNI_VERSIONS.indexOf(since)
}
