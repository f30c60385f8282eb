/** The agent's entry: reads the command line, becomes a member, runs until asked to stop. */
import {
  announceReady,
  createLogger,
  failProcess,
  openDataDirectory,
  ownMemoryRelease,
  Supervisor,
  untilAskedToStop,
} from '../kit/index.ts'
import { type AgentSettings, parseAgentCommandLine } from './command-line.ts'
import { startAgent } from './composition.ts'
import { DockerEngine } from './docker/index.ts'
import { agentErrors } from './errors.ts'
import { ownAddress, readMachineFacts } from './host/index.ts'
import { loadMembership, type Membership, register } from './link/index.ts'
import { presentRunner } from './pod-runner.ts'
import { uninstall } from './uninstall.ts'

/** Raised when an older agent would misread what a newer one wrote into the data directory. */
const DATA_FORMAT = 1

const log = createLogger('agent', process.env.DROVER_DEBUG === undefined ? 'info' : 'debug')

/** What makes this host a member: what is on disk, or a new registration. */
async function membershipOf(settings: AgentSettings, hostname: string): Promise<Membership> {
  const { dataDirectory, server, token } = settings
  const present = await loadMembership(dataDirectory)
  if (present !== undefined) {
    // The server may have moved; whether it is the same one, its pinned authority tells.
    return server?.startsWith('https:') ? { ...present, serverUrl: server } : present
  }
  if (server === undefined || token === undefined) throw agentErrors.NotRegistered({ object: dataDirectory })
  return await register(dataDirectory, server, token, hostname)
}

async function run(settings: AgentSettings): Promise<void> {
  const { dataDirectory } = settings
  const lock = await openDataDirectory(dataDirectory, 'agent', DATA_FORMAT)
  const engine = new DockerEngine(settings.dockerSocket)
  if (settings.uninstall) {
    await uninstall({ dataDirectory, engine, log })
    return
  }
  const machine = await readMachineFacts(await engine.facts())
  const membership = await membershipOf(settings, machine.hostname)
  const address = settings.address ?? ownAddress(membership.localAddress)
  if (address === undefined) throw agentErrors.NoAddress()
  const supervisor = new Supervisor(log)
  const runner = settings.runtime ?? (await presentRunner(dataDirectory))
  await startAgent({ dataDirectory, engine, machine, membership, address, runner, supervisor, log })
  await supervisor.start(ownMemoryRelease(log))
  await announceReady()
  const signal = await untilAskedToStop()
  log.info({ signal }, 'stopping')
  await supervisor.stop()
  await lock.release()
}

try {
  await run(parseAgentCommandLine(process.argv))
  process.exit(0)
} catch (error) {
  await failProcess(error, log)
}
