/** Kernel settings under /proc/sys of this process's network namespace. */
import { readFile, writeFile } from 'node:fs/promises'
import { systemErrorCode } from '../../kit/index.ts'
import { networkErrors } from '../errors.ts'

/**
 * Sets a kernel setting, if it is not so already.
 *
 * @param path below /proc/sys, e.g. `net/ipv4/ip_forward`
 * @throws `KernelRefused`
 */
export async function setSysctl(path: string, value: string): Promise<void> {
  const file = `/proc/sys/${path}`
  try {
    // Written only when it differs: some settings act on being written, and some systems mount them read-only.
    if ((await readFile(file, 'utf8')).trim() === value) return
    await writeFile(file, value)
  } catch (cause) {
    throw networkErrors.KernelRefused({
      object: `kernel setting ${path.replaceAll('/', '.')}`,
      message: `cannot be set to ${value}`,
      cause,
    })
  }
}

/** @returns undefined for a setting that there is not: the kernel lacks the feature, or the link is gone */
export async function readSysctl(path: string): Promise<string | undefined> {
  try {
    return (await readFile(`/proc/sys/${path}`, 'utf8')).trim()
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return undefined
    throw error
  }
}

/** `setSysctl` for a setting that a kernel without the feature does not have. */
export async function setSysctlIfPresent(path: string, value: string): Promise<void> {
  if ((await readSysctl(path)) !== undefined) await setSysctl(path, value)
}
