/**
 * A container asks 169.254.169.250: two network namespaces behind a bridge stand for containers, real resolvers and
 * HTTP clients ask from inside.
 */
import t from 'tap'
import { METADATA_ADDRESS } from '../../../protocol/index.ts'
import { inPrivateNetwork } from '../../lab/private-network.ts'
import { inside, makeNamespaces, missing, second, startAgent } from './containers.ts'

const skip = inPrivateNetwork(import.meta.filename)
if (skip === false) makeNamespaces()

const curl = (name: string, url: string) => inside(name, 'curl', '-s', '-m', '10', '--noproxy', '*', url)

t.test('HTTP from containers', { skip: skip || missing('curl', 'nsenter') }, async t => {
  const model = await startAgent(t)
  t.equal(await curl('c1', `http://${METADATA_ADDRESS}/latest/self/container/name`), 'shop-web-1')
  const newcomer = curl('c2', `http://${METADATA_ADDRESS}/latest/self/container/name`)
  t.equal(await curl('c1', `http://${METADATA_ADDRESS}/latest/self/service/containers`), '0=shop-web-1\n')
  model.apply([second], [])
  t.equal(await newcomer, 'shop-web-2', 'who is new is answered when it is known')
  t.equal(await curl('outside', `http://${METADATA_ADDRESS}/latest/self/container/name`), 'Forbidden')
})

t.test('somebody outside gets no names', { skip: skip || missing('dig', 'nsenter') }, async t => {
  await startAgent(t)
  const dig = (name: string, host: string) =>
    inside(name, 'dig', '+tries=1', '+time=5', `@${METADATA_ADDRESS}`, host, 'A')
  t.match(await dig('c1', 'web'), /ANSWER: 1,/)
  t.match(await dig('outside', 'web.shop.production.discover.internal'), /status: REFUSED/)
})
