/** A host network in a process of its own, for tests that kill it: takes directories (JSON), says `ready`. */
import { type HostDirectories, makeHostNetwork, SETTINGS } from './host.ts'

const network = makeHostNetwork(JSON.parse(process.argv[2] ?? '') as HostDirectories)
await network.start()
await network.configure(SETTINGS)
process.send?.('ready')
process.on('disconnect', () => process.exit(0))
