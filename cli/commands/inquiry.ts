/** `drover metadata get` and `drover dns query`: what this host's agent says, to the host or to one of its containers. */
import path from 'node:path'
import { runCommand, Type, validatorOf } from '../../kit/index.ts'
import { LABEL } from '../../protocol/index.ts'
import { cliErrors } from '../errors.ts'
import { print } from '../output.ts'

const PROGRAM = path.resolve(import.meta.dirname, '../inquiry/ask-host.ts')

const RECORD_TYPES = new Set(['A', 'AAAA', 'CNAME', 'SRV', 'PTR', 'TXT', 'MX', 'NS', 'SOA'])

export interface InquiryOptions {
  /** A container of this host: name of Drover's or Docker's, or id. */
  readonly as?: string
  readonly docker?: string
}

const inspected = validatorOf(Type.Array(Type.Object({ State: Type.Object({ Pid: Type.Integer() }) })))

/** The process whose network namespace is the container's. @throws `NotFound` */
async function processOf(name: string, socket: string): Promise<number> {
  const host = ['--host', `unix://${socket.replace(/^unix:\/\//, '')}`]
  const { stdout } = await runCommand('docker', [
    ...host,
    ...['ps', '--quiet', '--no-trunc', '--filter', `label=${LABEL.containerName}=${name}`],
  ])
  const id = stdout.split('\n')[0]
  const found = await runCommand(
    'docker',
    [...host, 'inspect', '--type', 'container', id === '' ? name : (id ?? name)],
    {
      acceptedExitCodes: [0, 1],
    },
  )
  const [container] =
    found.exitCode === 0 ? inspected.parse(JSON.parse(found.stdout), `container ${name}`) : []
  if (container === undefined || container.State.Pid === 0) {
    throw cliErrors.NotFound({
      object: `container ${name}`,
      message: 'does not run on this host',
      mend: 'run this on the host of the container: drover ps',
    })
  }
  return container.State.Pid
}

async function ask(inquiry: Record<string, unknown>, { as, docker }: InquiryOptions): Promise<void> {
  const program = [
    process.execPath,
    '--disable-warning=ExperimentalWarning',
    PROGRAM,
    JSON.stringify(inquiry),
  ]
  const enter =
    as === undefined
      ? []
      : ['nsenter', `--net=/proc/${await processOf(as, docker ?? '/var/run/docker.sock')}/ns/net`]
  const [command = '', ...args] = [...enter, ...program]
  const { exitCode, stdout, stderr } = await runCommand(command, args, { acceptedExitCodes: [0, 1] })
  if (exitCode !== 0) {
    throw cliErrors.Failed({ object: String(inquiry.path ?? inquiry.name), message: stderr.trim() })
  }
  print(stdout.trimEnd())
}

/** @param target `self/container/name`, or with the version: `/2015-12-19/self` */
export async function metadataGet(target: string, json: boolean, options: InquiryOptions): Promise<void> {
  const full = target.startsWith('/') ? target : `/latest/${target}`
  await ask({ kind: 'metadata', path: full, json }, options)
}

export async function dnsQuery(name: string, type: string, options: InquiryOptions): Promise<void> {
  const wanted = type.toUpperCase()
  if (!RECORD_TYPES.has(wanted)) {
    throw cliErrors.Usage({ object: `type ${type}`, expected: `one of ${[...RECORD_TYPES].join(', ')}` })
  }
  await ask({ kind: 'dns', name, type: wanted }, options)
}
