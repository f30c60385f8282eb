/** `drover lab`: virtual hosts on this machine. */
import path from 'node:path'
import { Command, InvalidArgumentError } from 'commander'
import { DroverError } from '../../kit/index.ts'
import { labDown, labExec, labUp } from './standing-lab.ts'

const DEFAULT_DIRECTORY = '/srv/drover-lab'
const MAXIMUM_HOSTS = 32

function hostCount(text: string): number {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 1 || value > MAXIMUM_HOSTS) {
    throw new InvalidArgumentError(`expected 1 to ${MAXIMUM_HOSTS}`)
  }
  return value
}

const program = new Command('drover lab')
  .description('Virtual hosts on this machine, each with a Docker engine and an agent.')
  .option('--data <directory>', 'where everything of the lab is kept', DEFAULT_DIRECTORY)
  .enablePositionalOptions()
  .exitOverride(error => process.exit(error.exitCode === 0 ? 0 : 2))

const directory = () => path.resolve(program.opts<{ data: string }>().data)

program
  .command('up')
  .argument('<hosts>', 'how many', hostCount)
  .description('make hosts, a server on the first and agents on all')
  .action(async (count: number) => {
    await labUp(directory(), count, line => process.stderr.write(`${line}\n`))
  })
program
  .command('down')
  .description('remove the lab; nothing of it is left')
  .action(async () => await labDown(directory()))
program
  .command('exec <host> <command...>')
  .description('run a command on a host')
  .passThroughOptions()
  .action(async (host: string, command: string[]) => {
    process.exitCode = await labExec(directory(), host, command)
  })

try {
  await program.parseAsync()
} catch (error) {
  process.stderr.write(`error: ${error instanceof DroverError ? error.explain() : String(error)}\n`)
  process.exitCode = 1
}
