/**
 * Deletes links, many at a time, without holding up this process.
 *
 * The kernel waits for every processor before a link is gone (16 to 33 ms were measured), and the request that asks
 * for it waits too. So links are only marked here, by a link group, and another process deletes the whole group
 * in one step: for fifty links the kernel waits as long as for one.
 */
import { kitErrors, runCommand } from '../../kit/index.ts'
import { networkErrors } from '../errors.ts'
import { getLink, setLink } from './links.ts'
import { kernelErrorCode, type RouteSocket } from './route-socket.ts'

/** The group of links to be deleted (`ip link delete group`): "drov", so that nobody else uses it. */
const GROUP_TO_DELETE = 0x64726f76

/** Links that may wait to be deleted. */
const WAITING_LIMIT = 10_000

export class LinkRemover {
  readonly #socket: RouteSocket
  #waiting = 0
  /** The run that has not begun: links marked now are in it. */
  #next: Promise<void> | undefined
  #running: Promise<void> = Promise.resolve()

  /** @param socket of the process's own network namespace, the only one in which links are deleted */
  constructor(socket: RouteSocket) {
    this.#socket = socket
  }

  /**
   * Deletes a link, and with one end of a veth pair the other.
   *
   * @returns false when there was none of that name
   * @throws `KernelRefused`, `CommandFailed`, `CommandMissing`, `DeadlineExceeded`, `QueueFull`
   */
  async remove(name: string): Promise<boolean> {
    if (this.#waiting >= WAITING_LIMIT) throw kitErrors.QueueFull({ object: 'deletion of links' })
    this.#waiting += 1
    try {
      if (!(await this.#mark(name))) return false
      await this.#deleteMarked()
      const left = await getLink(this.#socket, name)
      if (left?.group === GROUP_TO_DELETE) {
        throw networkErrors.KernelRefused({ object: `link ${name}`, message: 'the kernel did not delete it' })
      }
      return true
    } finally {
      this.#waiting -= 1
    }
  }

  async #mark(name: string): Promise<boolean> {
    try {
      await setLink(this.#socket, name, { group: GROUP_TO_DELETE })
      return true
    } catch (error) {
      if (kernelErrorCode(error) === 'ENODEV') return false
      throw error
    }
  }

  #deleteMarked(): Promise<void> {
    if (this.#next !== undefined) return this.#next
    const run = this.#running
      .catch(() => undefined)
      .then(() => {
        this.#next = undefined
        return deleteGroup()
      })
    this.#next = run
    this.#running = run
    return run
  }
}

async function deleteGroup(): Promise<void> {
  const { exitCode, stderr } = await runCommand('ip', ['link', 'delete', 'group', String(GROUP_TO_DELETE)], {
    acceptedExitCodes: [0, 1, 2],
  })
  // No link in the group: the namespaces of the other ends went first, and the kernel deleted the pairs.
  if (exitCode !== 0 && !/No such device|Cannot find device/.test(stderr)) {
    throw networkErrors.KernelRefused({
      object: 'links to be deleted',
      message: `ip link delete failed: ${stderr.trim().slice(0, 300)}`,
    })
  }
}
