/** Lets a group use a volume, whatever containers that have it do meanwhile. */
import { chmod, chown, lstat, readdir } from 'node:fs/promises'
import { openItself } from './open-itself.ts'

/** What a group must be allowed in volumes that are written (as the kubelet does it). */
const WRITES = 0o660
/** Besides, in directories: to enter them, and to own what comes into them. */
const ENTERS = 0o2110
const OWNED = 0o2070

/** What is open cannot become a link to something of the host between the look at it and the change. */
async function give(place: string, group: number, deep: boolean): Promise<void> {
  const handle = await openItself(place)
  try {
    const facts = await handle.stat()
    if (facts.isSymbolicLink()) return
    const itself = `/proc/self/fd/${handle.fd}`
    await chown(itself, facts.uid, group)
    await chmod(itself, (facts.mode & 0o7777) | WRITES | (facts.isDirectory() ? ENTERS : 0))
    if (!deep || !facts.isDirectory()) return
    for (const name of await readdir(itself)) await give(`${itself}/${name}`, group, deep)
  } finally {
    await handle.close()
  }
}

/**
 * @param options `deep`: what is in it, too; `onlyOnMismatch`: nothing when the volume itself is the group's already
 */
export async function giveToGroup(
  place: string,
  group: number,
  options: { readonly deep: boolean; readonly onlyOnMismatch: boolean },
): Promise<void> {
  const top = await lstat(place)
  if (options.onlyOnMismatch && top.gid === group && (top.mode & OWNED) === OWNED) return
  await give(place, group, options.deep)
}
