/** What balancers read is kept, and never older than the metadata. */
import t from 'tap'
import { ReadCache } from '../../../../agent/balancer/read-cache.ts'
import { MetadataModel } from '../../../../agent/metadata/index.ts'
import { container, environment, service, stack } from '../metadata/objects.ts'

t.test('what was read is kept until it changes', async t => {
  const production = environment('Production')
  const shop = stack('shop', production)
  const [web, db] = [service('web', shop), service('db', shop)]
  const web1 = container('web-1', web, { primaryIp: '10.42.0.1' })
  const model = new MetadataModel()
  model.apply([production, shop, web, db, web1, container('db-1', db)], [])
  const cache = new ReadCache(model)
  model.onChange(changes => cache.forget(changes))
  const names = (of: { uuid: string }) => cache.list('instance', 'service', of.uuid).map(({ name }) => name)

  const kept = cache.list('instance', 'service', db.uuid)
  t.strictSame(names(web), ['web-1'])
  t.equal(cache.get('instance', 'container-web-2'), undefined)
  model.apply([container('web-2', web)], [])
  t.strictSame(names(web), ['web-1', 'web-2'])
  t.equal(cache.get('instance', 'container-web-2')?.name, 'web-2')
  t.equal(cache.list('instance', 'service', db.uuid), kept, 'another service is not read again')

  model.apply([{ ...web1, serviceUuid: db.uuid }], [])
  t.strictSame(names(web), ['web-2'], 'it left one list')
  t.strictSame(
    names(db),
    ['web-1', 'db-1'].toSorted((a, b) => names(db).indexOf(a) - names(db).indexOf(b)),
  )
  model.apply([], [web1.uuid])
  t.strictSame(names(db), ['db-1'])
  t.equal(cache.list('service', 'stack', shop.uuid).length, 2)
  model.apply([], [db.uuid])
  t.equal(cache.list('service', 'stack', shop.uuid).length, 1)
})
