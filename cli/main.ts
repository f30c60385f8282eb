/** The command line. Commands that start long-lived processes themselves are `server/main.ts` and `agent/main.ts`. */
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander'
import { NETWORK_KINDS } from '../protocol/index.ts'
import { KUBERNETES_VERSIONS } from '../protocol/kubernetes/index.ts'
import { ApiClient } from './api-client.ts'
import {
  buildImagesCommand,
  createCluster,
  createEnvironment,
  dnsQuery,
  execute,
  inspect,
  issueToken,
  listClusters,
  listContainers,
  listEnvironments,
  listHosts,
  listNetworks,
  metadataGet,
  printKubeconfig,
  printRoutes,
  quickstart,
  removeCluster,
  removeEnvironment,
  rotateKey,
  scaleService,
  setNetwork,
  showLogs,
  stackExport,
  stackList,
  stackRemove,
  stackUp,
  stop,
} from './commands/index.ts'
import { findServer, type ServerConnection } from './connection.ts'
import { cliErrors, EXIT } from './errors.ts'
import { printError } from './output.ts'

const REMOVAL_TIMEOUT = 180

function port(text: string): number {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 1 || value > 65535)
    throw new InvalidArgumentError('expected 1 to 65535')
  return value
}

function seconds(text: string): number {
  const match = /^(\d+)(s|m|h|d)?$/.exec(text)
  const factor = { s: 1, m: 60, h: 3600, d: 86_400 }[match?.[2] ?? 's']
  if (match === null || factor === undefined)
    throw new InvalidArgumentError('expected a duration such as 90s, 10m, 12h, 30d')
  return Number(match[1]) * factor
}

function collect(value: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), value]
}

/** What every command may be told. */
interface SharedOptions {
  readonly data?: string
  readonly json?: boolean
}

type Work<Args extends unknown[]> = (
  context: { readonly api: ApiClient; readonly connection: ServerConnection; readonly json: boolean },
  ...args: Args
) => Promise<void>

/** Wraps a command that talks to the API. */
function withApi<Args extends unknown[]>(work: Work<Args>): (...args: [...Args, Command]) => Promise<void> {
  return async (...all) => {
    const command = all.at(-1) as Command
    const { data, json } = command.opts<SharedOptions>()
    const connection = await findServer(data)
    await work(
      { api: new ApiClient(connection), connection, json: json === true },
      ...(all.slice(0, -1) as Args),
    )
  }
}

const program = new Command('drover')
  .description('Manages fleets of container hosts.')
  .exitOverride()
  .enablePositionalOptions()

program
  .command('quickstart')
  .description("start a server and this host's agent; prints `ready: URL`")
  .option('--port <port>', 'plain HTTP', port, 8080)
  .option('--tls-port <port>', 'TLS', port, 8443)
  .option('--detach', 'return once everything is ready')
  .option('--docker <socket>', "Docker's socket")
  .option('--address <ip>', 'the address by which other hosts reach this one')
  .option('--advertise <url>', 'the URL by which agents reach this server')
  .action(async (options, command: Command) => {
    const { data } = command.opts<SharedOptions>()
    await quickstart({ ...options, detach: options.detach === true, ...(data === undefined ? {} : { data }) })
  })

program
  .command('stop')
  .description('stop the server and the agent of a data directory; containers go on')
  .action(async (_options, command: Command) => await stop(command.opts<SharedOptions>().data))

program
  .command('kubeconfig [cluster]')
  .description('print the kubeconfig of a cluster')
  .action(
    withApi(async ({ api, connection }, cluster: string | undefined, _o: unknown) =>
      printKubeconfig(api, connection, cluster),
    ),
  )

program
  .command('token [cluster]')
  .description('print a new registration token, with which a host joins the cluster')
  .option('--ttl <duration>', 'how long it is valid, such as 10m or 30d', seconds)
  .action(
    withApi(async ({ api, json }, cluster: string | undefined, options: { ttl?: number }) =>
      issueToken(api, cluster, options.ttl, json),
    ),
  )

const cluster = program.command('cluster').description('clusters')
cluster
  .command('create <name>')
  .description('make a cluster')
  .addOption(
    new Option('--kubernetes-version <version>', 'what its API speaks').choices([...KUBERNETES_VERSIONS]),
  )
  .option('--port <port>', 'where its API is at the root, too', port)
  .action(
    withApi(async ({ api, json }, name: string, options: { kubernetesVersion?: string; port?: number }) =>
      createCluster(api, name, options, json),
    ),
  )
cluster
  .command('ls')
  .description('list clusters')
  .action(withApi(async ({ api, json }, _o: unknown) => listClusters(api, json)))
cluster
  .command('rm <name>')
  .description('remove a cluster and everything in it')
  .action(withApi(async ({ api }, name: string, _o: unknown) => removeCluster(api, name, REMOVAL_TIMEOUT)))
cluster
  .command('import <name>')
  .description('import an existing cluster')
  .action(async () => {
    throw cliErrors.NotAvailable({ object: 'cluster import' })
  })

const environment = program.command('env').description('environments')
environment
  .command('ls')
  .description('list environments')
  .action(withApi(async ({ api, json }, _o: unknown) => listEnvironments(api, json)))
environment
  .command('create <name>')
  .description('make an environment')
  .option('--cluster <name>', 'in this cluster')
  .action(
    withApi(async ({ api, json }, name: string, options: { cluster?: string }) =>
      createEnvironment(api, name, options.cluster, json),
    ),
  )
environment
  .command('rm <name>')
  .description('remove an environment and everything in it')
  .action(
    withApi(async ({ api }, name: string, _o: unknown) => removeEnvironment(api, name, REMOVAL_TIMEOUT)),
  )

const stack = program.command('stack').description('stacks')
stack
  .command('up')
  .description('bring a stack to what its compose files say')
  .requiredOption('-f, --file <file>', 'a compose file; may be given several times', collect)
  .option('-r, --rancher-file <file>', 'a rancher-compose file')
  .option('-s, --stack <name>', 'the name of the stack (default: the directory of the first file)')
  .option('-e, --environment <name>', 'in this environment')
  .option('--upgrade', 'replace containers whose definition changed')
  .option('--confirm', 'keep the last upgrade for good')
  .option('--rollback', 'undo the last upgrade')
  .option('--timeout <duration>', 'how long to wait', seconds, 120)
  .action(
    withApi(async ({ api, json }, options) =>
      stackUp(api, { ...(options as Parameters<typeof stackUp>[1]), json }),
    ),
  )
stack
  .command('ls')
  .description('list stacks')
  .action(withApi(async ({ api, json }, _o: unknown) => stackList(api, json)))
stack
  .command('rm <name>')
  .description('remove a stack and everything in it')
  .action(withApi(async ({ api }, name: string, _o: unknown) => stackRemove(api, name, REMOVAL_TIMEOUT)))
stack
  .command('export <name>')
  .description('print the compose files of a stack')
  .action(withApi(async ({ api }, name: string, _o: unknown) => stackExport(api, name)))

program
  .command('scale <service> <count>')
  .description('set how many containers a service has; the service as NAME or STACK/NAME')
  .option('--timeout <duration>', 'how long to wait', seconds, 120)
  .action(
    withApi(async ({ api }, name: string, count: string, options: { timeout: number }) =>
      scaleService(api, name, Number(count), options.timeout),
    ),
  )

program
  .command('ps')
  .description('list containers')
  .action(withApi(async ({ api, json }, _o: unknown) => listContainers(api, json)))
program
  .command('hosts')
  .description('list hosts')
  .action(withApi(async ({ api, json }, _o: unknown) => listHosts(api, json)))
program
  .command('inspect <name>')
  .description(
    'show everything about a container, service (also STACK/NAME), stack, host, environment or cluster',
  )
  .action(withApi(async ({ api }, name: string, _o: unknown) => inspect(api, name)))
program
  .command('logs <name>')
  .description("print a container's log")
  .option('-f, --follow', 'go on with what comes')
  .option('-n, --lines <count>', 'lines from the end', text => Number(text), 100)
  .action(
    withApi(async ({ api, connection }, name: string, options: { follow?: boolean; lines: number }) =>
      showLogs(api, connection, name, { follow: options.follow === true, lines: options.lines }),
    ),
  )
program
  .command('exec <name> <command...>')
  .description('run a command in a container')
  .passThroughOptions()
  .action(
    withApi(async ({ api, connection }, name: string, command: string[], _o: unknown) =>
      execute(api, connection, name, command),
    ),
  )

const network = program.command('network').description('the network of containers')
network
  .command('ls')
  .description('list networks')
  .action(withApi(async ({ api, json }, _o: unknown) => listNetworks(api, json)))
network
  .command('set <kind>')
  .description(`choose the network of a cluster: ${NETWORK_KINDS.join(', ')}`)
  .option('--cluster <name>', 'of this cluster')
  .option('--options <json>', 'options of the kind, as JSON or @FILE')
  .option('--timeout <duration>', 'how long to wait for the hosts', seconds, 60)
  .action(
    withApi(async ({ api }, kind: string, options: Parameters<typeof setNetwork>[2]) =>
      setNetwork(api, kind, options),
    ),
  )
network
  .command('routes')
  .description('print which host routers have to send the addresses of containers to')
  .option('--cluster <name>', 'of this cluster')
  .action(
    withApi(async ({ api, json }, options: { cluster?: string }) => printRoutes(api, options.cluster, json)),
  )
network
  .command('rotate-key')
  .description('give the hosts another key to prove themselves with')
  .option('--cluster <name>', 'of this cluster')
  .action(withApi(async ({ api }, options: { cluster?: string }) => rotateKey(api, options.cluster)))

program
  .command('metadata')
  .description('what 169.254.169.250 says on this host')
  .command('get <path>')
  .description('print the metadata at a path, such as self/container/name or /2015-12-19/services')
  .option('--as <container>', 'as a container of this host sees it')
  .option('--docker <socket>', "Docker's socket")
  .action(async (target: string, options: { as?: string; docker?: string }, command: Command) =>
    metadataGet(target, command.opts<SharedOptions>().json === true, options),
  )
program
  .command('dns')
  .description('the name server of this host')
  .command('query <name> [type]')
  .description('print what a name leads to (A unless said otherwise; PTR takes an address)')
  .option('--as <container>', 'as a container of this host sees it')
  .option('--docker <socket>', "Docker's socket")
  .action(async (name: string, type: string | undefined, options: { as?: string; docker?: string }) =>
    dnsQuery(name, type ?? 'A', options),
  )

const images = program.command('images').description('local images')
images
  .command('build')
  .description('make the images that examples and the lab use')
  .option('--docker <socket>', "Docker's socket")
  .action(async (options: { docker?: string }) => await buildImagesCommand(options.docker))

/** Every command that does something knows where the data is, and can answer in JSON. */
function addSharedOptions(command: Command): void {
  for (const child of command.commands) addSharedOptions(child)
  if (command.commands.length > 0) return
  command.option('--data <directory>', 'where everything is kept (default: /var/lib/drover)')
  command.option('--json', 'print JSON instead of a table')
}

addSharedOptions(program)

try {
  await program.parseAsync()
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? EXIT.done : EXIT.usage
  else {
    printError(error)
    process.exitCode = EXIT.failed
  }
}
