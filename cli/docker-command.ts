/** Docker by its command line: for the few things that commands here need of it. */
import { spawn } from 'node:child_process'
import type { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { ImageStore } from '../images/index.ts'
import { kitErrors, runCommand } from '../kit/index.ts'

export class DockerCommand implements ImageStore {
  readonly socketPath: string

  constructor(socketPath: string) {
    this.socketPath = socketPath
  }

  async hasImage(name: string): Promise<boolean> {
    const { exitCode } = await runCommand(
      'docker',
      [...this.#host(), 'image', 'inspect', '--format', '{{.Id}}', name],
      {
        acceptedExitCodes: [0, 1],
      },
    )
    return exitCode === 0
  }

  async importImage(archive: Readable, name: string, changes: readonly string[]): Promise<void> {
    const options = changes.flatMap(change => ['--change', change])
    const docker = spawn('docker', [...this.#host(), 'import', ...options, '-', name], {
      stdio: ['pipe', 'ignore', 'pipe'],
    })
    let complaint = ''
    docker.stderr.setEncoding('utf8').on('data', (text: string) => {
      complaint = (complaint + text).slice(-2000)
    })
    const exit = new Promise<number | null>((resolve, reject) => {
      docker.once('error', reject)
      docker.once('close', resolve)
    })
    // Docker says itself what went wrong when it stops reading.
    await pipeline(archive, docker.stdin).catch(() => undefined)
    const code = await exit
    if (code !== 0) {
      throw kitErrors.CommandFailed({
        object: `docker import ${name}`,
        message: `the command failed: ${complaint.trim()}`,
      })
    }
  }

  #host(): string[] {
    return ['--host', `unix://${this.socketPath}`]
  }
}
