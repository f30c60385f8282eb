/** Provider `aws`: every host enters its own subnets into the route tables of the VPC. */
import { type Logger, systemClock } from '../../../kit/index.ts'
import type { RoutedOptions } from '../../../protocol/index.ts'
import { networkErrors } from '../../errors.ts'
import type { KernelEvent } from '../../netlink/index.ts'
import type { ProviderOutcome, RoutePlan, RouteProvider } from '../route-provider.ts'
import { Ec2Client, ec2ErrorCode, type RouteTable } from './ec2-client.ts'
import { InstanceMetadata } from './instance-metadata.ts'
import { type MadeRoute, MadeRoutes, type MadeRoutesRecord } from './made-routes.ts'

/**
 * Milliseconds between two looks at the tables while nothing changes here. Accounts may make some dozen requests per
 * second, and a thousand hosts share them.
 */
const LOOK_INTERVAL = 10 * 60_000

export interface AwsRouteTablesOptions {
  /** Absent for removing what an earlier process made. */
  readonly aws: RoutedOptions['aws']
  /** Where it is written down what was made. */
  readonly directory: string
  readonly metadata?: InstanceMetadata
  readonly log: Logger
}

interface Target {
  readonly client: Ec2Client
  readonly region: string
  readonly endpoint: string | undefined
  readonly tables: readonly string[]
}

export class AwsRouteTables implements RouteProvider {
  readonly #options: AwsRouteTablesOptions
  readonly #metadata: InstanceMetadata
  readonly #made: MadeRoutes
  #interface: string | undefined
  /** The last look, as long as nobody here wants something else. */
  #seen:
    | { readonly subnets: string; readonly tables: readonly RouteTable[]; readonly until: number }
    | undefined

  constructor(options: AwsRouteTablesOptions) {
    this.#options = options
    this.#metadata = options.metadata ?? new InstanceMetadata()
    this.#made = new MadeRoutes(options.directory)
  }

  async bring(plan: RoutePlan, _completely: boolean): Promise<ProviderOutcome> {
    const target = this.#target()
    const subnets = plan.subnets.join()
    const seen = this.#seen
    if (seen?.subnets === subnets && systemClock.monotonic() < seen.until) {
      return { changes: 0, problems: problemsOf(plan, seen.tables) }
    }
    this.#seen = undefined
    const own = await this.#ownInterface()
    let changes = 0
    if (await target.client.checksAddresses(own)) {
      await target.client.stopCheckingAddresses(own)
      changes += 1
    }
    changes += await this.#bringRoutes(target, own, plan.subnets)
    const tables = await this.#read(target)
    // Hosts that start together must not ask together for ever.
    const until = systemClock.monotonic() + LOOK_INTERVAL * (0.75 + Math.random() / 2)
    this.#seen = { subnets, tables, until }
    return { changes, problems: problemsOf(plan, tables) }
  }

  concerns(_event: KernelEvent): boolean {
    return false
  }

  async close(): Promise<void> {}

  async remove(): Promise<void> {
    this.#seen = undefined
    const record = await this.#made.read()
    if (record === undefined) return
    const client = this.#client(record.region, record.endpoint)
    const own = await this.#ownInterface()
    await this.#delete(client, own, record.routes)
    await this.#made.clear()
  }

  #target(): Target {
    const { aws } = this.#options
    if (aws === undefined) {
      throw networkErrors.CloudRefused({
        object: 'provider aws',
        message: 'knows neither region nor route tables',
        expected: 'the option routed.aws',
      })
    }
    const { region, endpoint, routeTableIds } = aws
    if (!/^[a-z0-9-]{1,64}$/.test(region)) {
      throw networkErrors.CloudRefused({ object: 'provider aws', message: `${region} is not a region` })
    }
    return { client: this.#client(region, endpoint), region, endpoint, tables: routeTableIds }
  }

  #client(region: string, endpoint: string | undefined): Ec2Client {
    return new Ec2Client({ region, endpoint, credentials: () => this.#metadata.credentials() })
  }

  async #ownInterface(): Promise<string> {
    this.#interface ??= await this.#metadata.networkInterface()
    return this.#interface
  }

  async #read({ client, tables }: Target): Promise<readonly RouteTable[]> {
    const found = await client.routeTables(tables)
    const missing = tables.find(id => !found.some(table => table.id === id))
    if (missing === undefined) return found
    throw networkErrors.CloudRefused({ object: `route table ${missing}`, message: 'does not exist' })
  }

  /** @returns how many routes were entered, changed or removed */
  async #bringRoutes(target: Target, own: string, subnets: readonly string[]): Promise<number> {
    const before = await this.#made.read()
    const wanted = target.tables.flatMap(table => subnets.map(destination => ({ table, destination })))
    const isSame = (a: MadeRoute) => (b: MadeRoute) => a.table === b.table && a.destination === b.destination
    const stale = before?.routes.filter(route => !wanted.some(isSame(route))) ?? []
    const { region, endpoint } = target
    const record = (routes: readonly MadeRoute[]): MadeRoutesRecord => ({
      region,
      ...(endpoint === undefined ? {} : { endpoint }),
      routes: [...routes],
    })
    // Written down first: what a crash leaves behind is known.
    await this.#made.write(record([...wanted, ...stale]))
    const tables = await this.#read(target)
    let changes = 0
    for (const table of tables) {
      for (const destination of subnets)
        changes += Number(await enter(target.client, table, destination, own))
    }
    if (stale.length > 0) {
      const client = before === undefined ? target.client : this.#client(before.region, before.endpoint)
      changes += await this.#delete(client, own, stale)
      await this.#made.write(record(wanted))
    }
    return changes
  }

  /** Deletes routes that still lead here. @returns how many */
  async #delete(client: Ec2Client, own: string, routes: readonly MadeRoute[]): Promise<number> {
    let deleted = 0
    for (const id of new Set(routes.map(({ table }) => table))) {
      const table = await findTable(client, id)
      for (const { table: of, destination } of routes) {
        const present = table?.routes.find(route => route.destination === destination)
        if (of !== id || present?.target !== own) continue
        await client.deleteRoute(id, destination)
        deleted += 1
      }
    }
    if (deleted > 0) this.#options.log.info({ deleted }, 'removed routes from the route tables of the VPC')
    return deleted
  }
}

async function findTable(client: Ec2Client, id: string): Promise<RouteTable | undefined> {
  try {
    return (await client.routeTables([id]))[0]
  } catch (error) {
    if (ec2ErrorCode(error) === 'InvalidRouteTableID.NotFound') return undefined
    throw error
  }
}

/** Makes a table's route to one of our subnets lead here. @returns whether it did not */
async function enter(
  client: Ec2Client,
  table: RouteTable,
  destination: string,
  own: string,
): Promise<boolean> {
  const present = table.routes.find(route => route.destination === destination)
  if (present?.target === own && present.state === 'active') return false
  // The subnet is ours: another interface is one that had it before us. Anything else was put there by somebody.
  if (present !== undefined && present.target !== '' && !/^(eni|i)-/.test(present.target)) {
    throw networkErrors.CloudRefused({
      object: `route to ${destination} in ${table.id}`,
      message: `leads to ${present.target}`,
      mend: 'remove it, or give the cluster another address range',
    })
  }
  if (present !== undefined) {
    await client.replaceRoute(table.id, destination, own)
    return true
  }
  try {
    await client.createRoute(table.id, destination, own)
  } catch (error) {
    if (ec2ErrorCode(error) !== 'RouteAlreadyExists') throw error
    await client.replaceRoute(table.id, destination, own)
  }
  return true
}

/** Peers whose subnets are not, or no longer, in every table: they enter them themselves. */
function problemsOf({ routes }: RoutePlan, tables: readonly RouteTable[]): Map<string, string> {
  const active = tables.map(({ id, routes: entries }) => ({
    id,
    destinations: new Set(
      entries.filter(({ state }) => state === 'active').map(({ destination }) => destination),
    ),
  }))
  const problems = new Map<string, string>()
  for (const { hostId, destinations } of routes) {
    for (const destination of destinations) {
      const lacking = active.find(table => !table.destinations.has(destination))
      if (lacking !== undefined) problems.set(hostId, `${lacking.id} has no active route to ${destination}`)
    }
  }
  return problems
}
