import path from 'node:path'
import t from 'tap'
import { createLogger, ipv4BlockContains, ipv4BlockSize, requireIpv4Block } from '../../../../kit/index.ts'
import { AddressPool } from '../../../../netplugins/ipam/index.ts'
import { AddressBlocks } from '../../../../server/controller/index.ts'
import { temporaryModel } from '../temporary-model.ts'

const log = createLogger('test', 'silent')

const HOSTS = 1_000
const CONTAINERS = 30

t.test('1,000 hosts with 30 containers each in 10.42.0.0/16', async t => {
  const { model, directory } = await temporaryModel(t)
  const cluster = await model.clusters.create({
    name: 'c',
    state: 'active',
    embedded: true,
    clusterBlock: '10.42.0.0/16',
  })
  const blocks = new AddressBlocks(model)
  const hosts = Array.from({ length: HOSTS }, (_, n) => `h${n}`)
  const given = await Promise.all(hosts.map(host => blocks.ensure(cluster.id, host, 1)))
  const all = given.flat().map(text => requireIpv4Block(text, 'test'))
  t.equal(new Set(all.map(block => block.base)).size, HOSTS, 'nobody shares')
  const clusterBlock = requireIpv4Block('10.42.0.0/16', 'test')
  t.ok(all.every(block => ipv4BlockContains(clusterBlock, block.base) && ipv4BlockSize(block) > CONTAINERS))
  t.notOk(
    all.some(block => ipv4BlockContains(block, clusterBlock.base + 1)),
    'the gateway is in none',
  )

  const [first] = all
  const pool = await AddressPool.open(path.join(directory, 'pool'), log)
  if (first !== undefined) pool.setBlocks(clusterBlock, [first])
  const taken = await Promise.all(
    Array.from({ length: CONTAINERS }, (_, n) =>
      pool.allocate({ containerId: `c${n}`, interfaceName: 'eth0' }),
    ),
  )
  t.equal(new Set(taken).size, CONTAINERS)

  t.strictSame(await blocks.ensure(cluster.id, 'h0', 1), given[0], 'asking again changes nothing')
  t.equal((await blocks.ensure(cluster.id, 'h0', 2)).length, 2, 'another one for a host whose block is full')
  await Promise.all(Array.from({ length: 22 }, (_, n) => blocks.ensure(cluster.id, `late${n}`, 1)))
  await t.rejects(blocks.ensure(cluster.id, 'one-too-many', 1), { code: 'NoAddressBlock' })
  await blocks.release('h500')
  t.strictSame(await blocks.ensure(cluster.id, 'one-too-many', 1), given[500], 'the block of a lost host')
})
