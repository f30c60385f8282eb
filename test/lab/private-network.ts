/**
 * Kernel tests that cannot harm the machine they run on.
 *
 * `inPrivateNetwork` makes the calling process continue in namespaces of its own: network (only a loopback, no
 * uplink: no packet leaves the machine), mounts (private, with an empty /run and a /proc of its own) and process
 * ids. The kernel removes all of it when the test ends, however it ends: every process started inside is killed
 * with the test, and links, addresses, rules and mounts go with their namespaces.
 *
 *     import t from 'tap'
 *     import { inPrivateNetwork } from '../../lab/private-network.ts'
 *
 *     const skip = inPrivateNetwork(import.meta.filename)
 *     t.test('…', { skip }, async t => { … })
 *
 * Things to know inside:
 * - /sys still shows the outer network: read links by netlink or `ip`, not in /sys/class/net.
 * - named namespaces (`ip netns add`) work and are invisible outside; enter them with `nsenter --net=…`, because
 *   `ip netns exec` mounts a new /sys, which hides the cgroups.
 * - the test is process 1 of its process namespace: it gets no default action for signals.
 */
import { execFileSync } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import path from 'node:path'

/** Set for the process that runs inside. */
const MARK = 'DROVER_PRIVATE_NETWORK'

/** The commands without which no test of the network can run. */
const COMMANDS = ['unshare', 'mount', 'ip']

function findCommand(name: string): string | undefined {
  for (const directory of (process.env.PATH ?? '').split(path.delimiter)) {
    const file = path.join(directory, name)
    try {
      accessSync(file, constants.X_OK)
      return file
    } catch {
      // Not in this directory.
    }
  }
  return undefined
}

/** Why this machine cannot make a private network; false when it can. */
function obstacle(): string | false {
  if (process.getuid?.() !== 0) return 'needs root: makes network namespaces'
  for (const command of COMMANDS) {
    if (findCommand(command) === undefined) return `needs the command ${command}`
  }
  try {
    execFileSync('unshare', ['--net', '--mount', '--pid', '--fork', 'true'], { stdio: 'ignore' })
  } catch {
    return 'needs a kernel that lets it make network, mount and process namespaces'
  }
  return false
}

/** The environment variables of this process, as execve(2) wants them. */
function environment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([, value]) => value !== undefined))
}

/**
 * Moves the test file into a private network; call it before anything else in the file.
 *
 * Outside, it replaces the process by one that runs the same file inside (same standard streams and exit code, so
 * whoever runs the test sees no difference) and does not return. Inside, it brings the loopback up and returns.
 *
 * @param file the test file: `import.meta.filename`
 * @returns false inside; the reason to skip every test where that cannot be done
 */
export function inPrivateNetwork(file: string): string | false {
  if (process.env[MARK] === file) {
    execFileSync('mount', ['-t', 'tmpfs', 'tmpfs', '/run'])
    execFileSync('ip', ['link', 'set', 'lo', 'up'])
    return false
  }
  const reason = obstacle()
  if (reason !== false) return reason
  const unshare = findCommand('unshare') ?? 'unshare'
  process.execve?.(
    unshare,
    [
      unshare,
      ...['--net', '--mount', '--propagation', 'private'],
      ...['--pid', '--fork', '--kill-child', '--mount-proc'],
      ...[process.execPath, ...process.execArgv, file, ...process.argv.slice(2)],
    ],
    { ...environment(), [MARK]: file },
  )
  return 'needs a Node with process.execve'
}
