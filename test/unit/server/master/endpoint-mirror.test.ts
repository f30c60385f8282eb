/** Endpoints that somebody keeps for a service without a selector, as slices. */
import t from 'tap'
import type { EndpointSlice } from '../../../../server/master/apiserver/index.ts'
import { eventually, temporaryMaster } from './temporary-master.ts'

const MERGE = { 'content-type': 'application/merge-patch+json' }
const SLICES = '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices'
const CORE = '/api/v1/namespaces/default'

t.test('mirrors', async t => {
  const { ask } = await temporaryMaster(t)
  const slicesUntil = (what: string, check: (found: EndpointSlice[]) => boolean) =>
    eventually(async () => {
      const found = (await ask(SLICES)).body.items as EndpointSlice[]
      return check(found) ? found : undefined
    }, what)
  const endpoints = (subsets: unknown[], metadata: object = {}) => ({
    apiVersion: 'v1',
    kind: 'Endpoints',
    metadata: { name: 'db', ...metadata },
    subsets,
  })
  const place = `${CORE}/endpoints/db`
  const ports = [{ name: 'sql', port: 5432 }]

  await ask(`${CORE}/endpoints`, {
    method: 'POST',
    body: endpoints(
      [
        {
          addresses: [{ ip: '192.0.2.7', nodeName: 'n1', hostname: 'first' }, { ip: '2001:db8::7' }],
          notReadyAddresses: [{ ip: '192.0.2.8' }],
          ports,
        },
        { addresses: [{ ip: '192.0.2.9' }, { ip: '192.0.2.7' }], ports },
      ],
      { labels: { team: 'data' }, annotations: { note: 'by hand' } },
    ),
  })
  await ask(`${CORE}/services`, {
    method: 'POST',
    body: { metadata: { name: 'db' }, spec: { ports: [{ name: 'sql', port: 5432 }] } },
  })
  const [ipv4, ipv6] = (await slicesUntil('one of each family', found => found.length === 2)).toSorted(
    (a, b) => a.addressType.localeCompare(b.addressType),
  )
  t.match(ipv4, {
    addressType: 'IPv4',
    metadata: {
      labels: {
        team: 'data',
        'kubernetes.io/service-name': 'db',
        'endpointslice.kubernetes.io/managed-by': 'endpointslicemirroring-controller.k8s.io',
      },
      annotations: { note: 'by hand' },
      ownerReferences: [{ kind: 'Endpoints', name: 'db', controller: true }],
    },
    ports: [{ name: 'sql', port: 5432, protocol: 'TCP' }],
    endpoints: [
      { addresses: ['192.0.2.7'], conditions: { ready: true }, nodeName: 'n1', hostname: 'first' },
      { addresses: ['192.0.2.8'], conditions: { ready: false } },
      { addresses: ['192.0.2.9'], conditions: { ready: true } },
    ],
  })
  t.match(ipv6, { addressType: 'IPv6', endpoints: [{ addresses: ['2001:db8::7'] }] })

  t.test('follow the endpoints, and keep their names', async t => {
    await ask(place, {
      method: 'PATCH',
      headers: MERGE,
      body: { subsets: [{ addresses: [{ ip: '192.0.2.10' }], ports }] },
    })
    const [changed] = await slicesUntil(
      'one address',
      found => found.length === 1 && found[0]?.endpoints?.length === 1,
    )
    t.equal(changed?.metadata.name, ipv4?.metadata.name)
    t.match(changed?.endpoints, [{ addresses: ['192.0.2.10'] }])
    await ask(`${SLICES}/${changed?.metadata.name}`, { method: 'DELETE' })
    await slicesUntil('one that somebody deleted is made again', found => found[0]?.endpoints?.length === 1)
  })

  t.test('are not made of what wants none', async () => {
    const label = (value: string | null) =>
      ask(place, {
        method: 'PATCH',
        headers: MERGE,
        body: { metadata: { labels: { 'endpointslice.kubernetes.io/skip-mirror': value } } },
      })
    const select = (selector: object | null) =>
      ask(`${CORE}/services/db`, { method: 'PATCH', headers: MERGE, body: { spec: { selector } } })
    const isMirror = ({ metadata }: EndpointSlice) =>
      metadata.labels?.['endpointslice.kubernetes.io/managed-by'] ===
      'endpointslicemirroring-controller.k8s.io'
    await label('true')
    await slicesUntil('none with the label', found => found.length === 0)
    await label(null)
    await slicesUntil('one without it', found => found.length === 1)
    await select({ app: 'db' })
    await slicesUntil('none for a service with a selector', found => !found.some(isMirror))
    await select(null)
    await ask(place, { method: 'DELETE' })
    await ask(`${CORE}/endpoints`, {
      method: 'POST',
      body: endpoints([{ addresses: [{ ip: '192.0.2.7' }], ports }]),
    })
    await slicesUntil('one again', found => found.some(isMirror))
    await ask(place, { method: 'DELETE' })
    await slicesUntil('none without endpoints', found => !found.some(isMirror))
  })
})
