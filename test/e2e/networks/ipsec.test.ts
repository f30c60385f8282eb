/** The network of kind ipsec, in a fleet of three hosts. */
import t from 'tap'
import { inPrivateNetwork } from '../../lab/private-network.ts'
import { testNetwork } from './network-life.ts'

t.setTimeout(600_000)

const skip = inPrivateNetwork(import.meta.filename)

t.test('ipsec', { skip, timeout: 590_000 }, t => testNetwork(t, 'is', 'ipsec', {}))
