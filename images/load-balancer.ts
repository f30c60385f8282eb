/** The file system of load balancers: the host's HAProxy with the libraries it needs, and a busybox that starts it. */
import { readFile, realpath } from 'node:fs/promises'
import path from 'node:path'
import { Readable } from 'node:stream'
import { type Pack, pack } from 'tar-stream'
import { runCommand, systemErrorCode } from '../kit/index.ts'
import { staticBusybox } from './busybox.ts'
import { imageErrors } from './errors.ts'

const HAPROXY = '/usr/sbin/haproxy'

/** Where the image's start script is. */
export const START_SCRIPT = '/start'

/**
 * Waits for the first configuration, and hands signals on: the agent asks for a reload with SIGUSR2, and to be asked to stop
 * means to end with the last connection.
 */
const START = `#!/bin/busybox sh
trap 'exit 0' TERM
until [ -e "$DROVER_BALANCER/current/haproxy.cfg" ]; do /bin/busybox sleep 0.05; done
/usr/sbin/haproxy -W -db -S "$DROVER_BALANCER/sockets/master.sock" -f "$DROVER_BALANCER/current/haproxy.cfg" &
haproxy=$!
trap 'kill -USR1 $haproxy' TERM
trap 'kill -USR2 $haproxy' USR2
while :; do
  wait $haproxy
  status=$?
  kill -0 $haproxy 2>/dev/null || exit $status
done
`

/** Shared libraries of a program, the loader among them, as the host's loader finds them. */
async function librariesOf(program: string): Promise<string[]> {
  const { stdout } = await runCommand('ldd', [program])
  return [...stdout.matchAll(/(?:=> )?(\/\S+) \(0x/g)].map(([, file = '']) => file)
}

async function addFile(archive: Pack, file: string): Promise<void> {
  const content = await readFile(await realpath(file))
  archive.entry({ name: file.slice(1), mode: 0o755 }, content)
}

/** @throws `NoHaproxy` */
export async function loadBalancerFileSystem(): Promise<Readable> {
  const busybox = await staticBusybox()
  let libraries: string[]
  try {
    await realpath(HAPROXY)
    libraries = await librariesOf(HAPROXY)
  } catch (cause) {
    if (systemErrorCode(cause) !== 'ENOENT') throw cause
    throw imageErrors.NoHaproxy({ object: HAPROXY, cause })
  }
  const archive = pack()
  const directories = new Set(['bin', 'etc', 'run', 'tmp', 'usr', 'usr/sbin'])
  for (const file of libraries) {
    for (let place = path.dirname(file); place !== '/'; place = path.dirname(place))
      directories.add(place.slice(1))
  }
  for (const name of [...directories].toSorted()) archive.entry({ name, type: 'directory', mode: 0o755 })
  archive.entry({ name: 'bin/busybox', mode: 0o755 }, busybox)
  archive.entry({ name: START_SCRIPT.slice(1), mode: 0o755 }, START)
  archive.entry(
    { name: 'etc/passwd' },
    'root:x:0:0:root:/:/bin/false\nhaproxy:x:99:99:haproxy:/:/bin/false\n',
  )
  archive.entry({ name: 'etc/group' }, 'root:x:0:\nhaproxy:x:99:\n')
  for (const file of [HAPROXY, ...libraries]) await addFile(archive, file)
  archive.finalize()
  return Readable.from(archive)
}
