/** Tells a process from a later one with the same number (proc(5)). */
import { readFile } from 'node:fs/promises'

/** When a process was started, in the kernel's ticks; undefined when it does not run. */
export async function processStart(pid: number): Promise<string | undefined> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8')
    const fields = stat.slice(stat.lastIndexOf(') ') + 2).split(' ')
    // A process that nobody has waited for yet does not run.
    return fields[0] === 'Z' ? undefined : fields[19]
  } catch {
    return undefined
  }
}
