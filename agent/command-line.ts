/** What `drover agent` may be told. */
import path from 'node:path'
import { Command, InvalidArgumentError, Option } from 'commander'
import { parseIpv4 } from '../kit/index.ts'

export interface AgentSettings {
  readonly dataDirectory: string
  /** Base URL; needed for registering. */
  readonly server: string | undefined
  readonly token: string | undefined
  readonly dockerSocket: string
  /** The address by which other hosts reach this one; found out when absent. */
  readonly address: string | undefined
  /** What runs pods; as before when absent. */
  readonly runtime: 'builtin' | 'kubelet' | undefined
  readonly uninstall: boolean
}

function url(text: string): string {
  if (!URL.canParse(text) || !/^https?:$/.test(new URL(text).protocol)) {
    throw new InvalidArgumentError('expected an http or https URL')
  }
  return new URL(text).origin
}

function ipv4(text: string): string {
  if (parseIpv4(text) === undefined) throw new InvalidArgumentError('expected an IPv4 address')
  return text
}

/** Reads the command line; ends the process with exit code 2 when it is wrong. */
export function parseAgentCommandLine(argv: readonly string[]): AgentSettings {
  const command = new Command('drover agent')
    .description('Makes this host a member of a cluster, and keeps it one.')
    .option('--server <url>', 'the server', url)
    .option('--token <token>', 'a registration token, needed once; or in DROVER_TOKEN')
    .option('--data <directory>', 'everything that the agent keeps', '/var/lib/drover/agent')
    .option('--docker <socket>', "Docker's socket", process.env.DOCKER_HOST ?? '/var/run/docker.sock')
    .option('--address <ip>', 'the address by which other hosts reach this one', ipv4)
    .addOption(
      new Option('--runtime <name>', 'what runs pods: builtin, unless another was chosen before').choices([
        'builtin',
        'kubelet',
      ]),
    )
    .option('--uninstall', 'remove everything of the agent from this host')
    .exitOverride(error => process.exit(error.exitCode === 0 ? 0 : 2))
    .parse([...argv])
  const options = command.opts<{
    server?: string
    token?: string
    data: string
    docker: string
    address?: string
    runtime?: 'builtin' | 'kubelet'
    uninstall?: boolean
  }>()
  return {
    dataDirectory: path.resolve(options.data),
    server: options.server,
    token: options.token ?? process.env.DROVER_TOKEN,
    dockerSocket: options.docker.replace(/^unix:\/\//, ''),
    address: options.address,
    runtime: options.runtime,
    uninstall: options.uninstall === true,
  }
}
