/** Names of Kubernetes services and pods, and how they follow changes. */
import t from 'tap'
import { serviceRecordOf, sliceRecordOf } from '../../../../agent/cluster/records.ts'
import { KubernetesNames } from '../../../../agent/metadata/names/kubernetes/index.ts'
import { type HostView, resolveName } from '../../../../dns/client-view.ts'
import { AddressSet, CanonicalName } from '../../../../dns/index.ts'
import type { EndpointSlice, Service } from '../../../../protocol/kubernetes/index.ts'

function service(name: string, spec: Service['spec'] = {}): Service {
  const ports = [{ name: 'http', protocol: 'TCP', port: 80 }]
  return {
    metadata: { name, namespace: 'shop' },
    spec: { type: 'ClusterIP', clusterIP: '10.43.0.9', clusterIPs: ['10.43.0.9'], ports, ...spec },
  }
}

const headless = { clusterIP: 'None', clusterIPs: ['None'] }

type Endpoints = NonNullable<EndpointSlice['endpoints']>

function slice(name: string, of: string, endpoints: Endpoints): EndpointSlice {
  return {
    metadata: { name, namespace: 'shop', labels: { 'kubernetes.io/service-name': of } },
    addressType: 'IPv4',
    endpoints,
    ports: [
      { name: 'http', protocol: 'TCP', port: 8080 },
      { name: 'sync', protocol: 'SCTP', port: 1 },
    ],
  }
}

class World {
  readonly names = new KubernetesNames()
  readonly #view: HostView = {
    kind: 'host',
    environment: () => undefined,
    reverse: address => this.names.reverse(address),
    kubernetes: this.names,
  }

  put(object: Service): void {
    this.names.putService(serviceRecordOf(object))
  }

  putSlice(object: EndpointSlice): void {
    const record = sliceRecordOf(object)
    if (record !== undefined) this.names.putSlice(record)
  }

  seen(name: string): string {
    const found = this.names.find(name)
    if (found instanceof AddressSet) return found.addresses().toSorted().join()
    return found instanceof CanonicalName ? `-> ${found.target}` : (found ?? 'unknown')
  }

  ports(name: string): readonly string[] {
    const resolution = resolveName(`${name}.cluster.local`, this.#view)
    if (resolution.kind !== 'ports') return [resolution.kind]
    return resolution.ports().map(({ port, target, address }) => `${target}:${port} ${address}`)
  }
}

t.test('services with an address', async t => {
  const world = new World()
  world.put(service('web'))
  t.equal(world.seen('web.shop.svc'), '10.43.0.9')
  t.equal(world.seen('shop.svc'), 'empty')
  t.equal(world.seen('svc'), 'empty')
  t.equal(world.seen('pod'), 'empty')
  for (const absent of ['web.other.svc', 'other.svc', 'db.shop.svc', 'web.shop', 'a.b.web.shop.svc', '']) {
    t.equal(world.seen(absent), 'unknown', absent)
  }
  t.same(world.ports('_http._tcp.web.shop.svc'), ['web.shop.svc.cluster.local:80 10.43.0.9'])
  t.same(world.ports('_http._udp.web.shop.svc'), ['unknown'])
  t.same(world.names.reverse('10.43.0.9'), ['web.shop.svc.cluster.local'])
  t.equal(world.names.reverse('10.43.0.10'), undefined)
})

t.test('services without an address', async t => {
  const world = new World()
  world.put(service('db', headless))
  t.equal(world.seen('db.shop.svc'), '', 'there is such a name, with nothing')
  world.putSlice(
    slice('db-1', 'db', [
      { addresses: ['10.42.0.1'], hostname: 'db-0', conditions: { ready: true } },
      { addresses: ['10.42.0.2'], conditions: { ready: false } },
    ]),
  )
  world.putSlice(slice('db-2', 'db', [{ addresses: ['10.42.0.3'] }]))
  t.equal(world.seen('db.shop.svc'), '10.42.0.1,10.42.0.3')
  t.equal(world.seen('db-0.db.shop.svc'), '10.42.0.1')
  t.equal(world.seen('10-42-0-1.db.shop.svc'), '10.42.0.1')
  t.equal(world.seen('10-42-0-3.db.shop.svc'), '10.42.0.3')
  t.equal(world.seen('10-42-0-2.db.shop.svc'), 'unknown', 'it is not ready')
  t.same(world.ports('_http._tcp.db.shop.svc'), [
    'db-0.db.shop.svc.cluster.local:8080 10.42.0.1',
    '10-42-0-3.db.shop.svc.cluster.local:8080 10.42.0.3',
  ])
  t.same(world.names.reverse('10.42.0.1'), ['db-0.db.shop.svc.cluster.local'])
  t.equal(world.names.reverse('10.42.0.2'), undefined)

  world.put(service('db', { ...headless, publishNotReadyAddresses: true }))
  t.equal(world.seen('db.shop.svc'), '10.42.0.1,10.42.0.2,10.42.0.3')
  world.names.removeSlice({ namespace: 'shop', name: 'db-2' })
  t.equal(world.seen('db.shop.svc'), '10.42.0.1,10.42.0.2')
  t.equal(world.names.reverse('10.42.0.3'), undefined)
  world.names.removeService({ namespace: 'shop', name: 'db' })
  t.equal(world.seen('db.shop.svc'), 'unknown')
  t.equal(world.seen('shop.svc'), 'unknown')
  t.equal(world.names.reverse('10.42.0.1'), undefined)
})

t.test('names of others and of pods', async t => {
  const world = new World()
  world.put(service('far', { type: 'ExternalName', externalName: 'DB.example.com.', ports: [] }))
  t.equal(world.seen('far.shop.svc'), '-> db.example.com')
  t.equal(world.seen('x.far.shop.svc'), 'unknown')
  t.equal(world.seen('10-42-3-4.shop.pod'), '10.42.3.4')
  t.equal(world.seen('192-0-2-1.shop.pod'), 'unknown', 'no address of a pod')
  t.equal(world.seen('10-42-3.shop.pod'), 'unknown')
  t.equal(world.seen('shop.pod'), 'empty')
})

t.test('address sets are kept, and the version rises only with names', async t => {
  const world = new World()
  world.put(service('web'))
  world.put(service('db', headless))
  const set = world.names.find('db.shop.svc')
  if (!(set instanceof AddressSet)) throw new Error('no addresses')
  t.equal(set.records.bytes.length, 0)
  let { version } = world.names
  world.putSlice(slice('db-1', 'db', [{ addresses: ['10.42.0.1'] }]))
  t.ok(world.names.version > version, 'an endpoint came')
  t.equal(world.names.find('db.shop.svc'), set)
  t.equal(set.records.bytes.length, set.records.size, 'and the set shows it')
  version = world.names.version
  world.put(service('web'))
  world.putSlice(slice('db-1', 'db', [{ addresses: ['10.42.0.1'] }]))
  world.putSlice(slice('web-1', 'web', [{ addresses: ['10.42.0.1'], conditions: { ready: false } }]))
  t.equal(world.names.version, version, 'nothing that has a name')
  world.putSlice(slice('db-1', 'web', []))
  t.ok(world.names.version > version, 'a slice went to another service')
  t.equal(world.seen('db.shop.svc'), '')
})

t.test('what is no record', async t => {
  const { labels: _labels, ...metadata } = slice('s', 'web', []).metadata
  t.equal(sliceRecordOf({ ...slice('s', 'web', []), metadata }), undefined)
  t.equal(sliceRecordOf({ ...slice('s', 'web', []), addressType: 'FQDN' }), undefined)
  const { spec: _spec, ...bare } = service('web')
  t.match(serviceRecordOf(bare), { addresses: [], ports: [] })
})
