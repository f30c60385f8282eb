/**
 * A host network in a process of its own, for tests that kill it: takes directories and, unless they are the usual ones,
 * settings (JSON), says `ready`.
 */
import type { NetworkSettings } from '../../../agent/network/index.ts'
import { type HostDirectories, makeHostNetwork, SETTINGS } from './host.ts'

const network = makeHostNetwork(JSON.parse(process.argv[2] ?? '') as HostDirectories)
await network.start()
const [, , , settings] = process.argv
await network.configure(settings === undefined ? SETTINGS : (JSON.parse(settings) as NetworkSettings))
process.send?.('ready')
process.on('disconnect', () => process.exit(0))
