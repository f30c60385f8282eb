/** A host of a fleet whose pods a real kubelet is to run. */
import path from 'node:path'
import { DATA, type Fleet, until } from '../../lab/fleet.ts'
import { presentKubelet } from '../../lab/kubelet.ts'
import type { VirtualHost } from '../../lab/virtual-host.ts'

const PROGRAM = '/opt/bin/kubelet'
/** Cgroups of pods would be outside of the lab. */
const NODE = ['--cgroups-per-qos=false', '--enforce-node-allocatable=']

export class KubeletHost {
  readonly host: VirtualHost
  readonly #fleet: Fleet

  constructor(fleet: Fleet, host: VirtualHost) {
    this.#fleet = fleet
    this.host = host
  }

  async kubectl(...args: readonly string[]): Promise<string> {
    return (await this.#fleet.kubectl(args, { deadline: 90_000 })).stdout
  }

  async apply(object: object): Promise<void> {
    await this.#fleet.kubectl(['apply', '-f', '-'], { input: JSON.stringify(object) })
  }

  /** What a script says on this host. */
  async shell(script: string): Promise<string> {
    const options = { acceptedExitCodes: [0, 1, 2], deadline: 60_000 }
    return (await this.host.run('sh', ['-c', script], options)).stdout.trim()
  }

  /** Makes a program, or any other file. */
  async install(file: string, text: string): Promise<void> {
    const script = 'mkdir -p "$(dirname "$1")"; cat > "$1"; chmod 755 "$1"'
    await this.host.run('sh', ['-c', script, 'sh', file], { input: text })
  }

  /** @param more arguments, which count over those of the agent */
  async installKubelet(...more: readonly string[]): Promise<void> {
    const program = path.resolve((await presentKubelet()) ?? '')
    await this.install(PROGRAM, `#!/bin/sh\nexec ${program} "$@" ${[...NODE, ...more].join(' ')}\n`)
  }

  async endAgent(): Promise<void> {
    const pid = await this.shell(`cat ${DATA}/agent/agent.lock`)
    await this.shell(`kill ${pid}`)
    const isOver = async () => (await this.shell(`kill -0 ${pid} 2> /dev/null || echo ended`)) === 'ended'
    await until('the agent has ended', 60_000, isOver)
  }

  startAgent(): void {
    this.host.start('./drover', ['agent', '--address', this.host.address, '--runtime', 'kubelet'], 'agent')
  }

  /** What a pod is answered by a URL; empty when it is not. */
  async ask(pod: string, url: string): Promise<string> {
    const command = ['exec', pod, '--', 'timeout', '5', 'wget', '-q', '-O', '-', url]
    return (await this.#fleet.kubectl(command, { acceptedExitCodes: [0, 1, 143] })).stdout.trim()
  }

  /** How many containers are connected to the bridge. */
  links(): Promise<string> {
    return this.shell('ip -o link show type veth | grep -c master')
  }
}
