/** What stands behind a measured balancer, and balancers written by hand: HAProxies with a file as it is. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { PassThrough } from 'node:stream'
import { readLines } from '../../../kit/index.ts'

/** Ports of this machine that nobody uses at this moment. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer().listen(0, '127.0.0.1')
      await once(server, 'listening')
      return server
    }),
  )
  return await Promise.all(
    servers.map(async server => {
      const address = server.address()
      server.close()
      await once(server, 'close')
      return typeof address === 'object' && address !== null ? address.port : 0
    }),
  )
}

const HEAD = `global
  maxconn 4096
defaults
  mode http
  timeout connect 5s
  timeout client 50s
  timeout server 50s
`

/** Starts HAProxy with these sections behind a minimal `global` and `defaults`; `end` ends it. */
export async function plainHaproxy(
  file: string,
  sections: string,
): Promise<{ readonly pid: number | undefined; end(): Promise<void> }> {
  await writeFile(file, HEAD + sections)
  const child: ChildProcess = spawn('haproxy', ['-W', '-db', '-f', file], {
    stdio: ['ignore', 'ignore', 'pipe'],
    // A session of its own, as ours have: the kernel divides processors among sessions first.
    detached: true,
  })
  const end = async () => {
    const exit = once(child, 'exit')
    child.kill('SIGTERM')
    await exit
  }
  if (child.stderr !== null) {
    for await (const line of readLines(child.stderr.pipe(new PassThrough()), 65_536)) {
      if (line.includes('Loading success')) return { pid: child.pid, end }
    }
  }
  throw new Error('HAProxy did not start')
}

/** Servers that answer with a constant. */
export function originSections(ports: readonly number[]): string {
  const binds = ports.map(port => `  bind 127.0.0.1:${port}\n`).join('')
  return `frontend origin\n${binds}  http-request return status 200 content-type text/plain string hello\n`
}
