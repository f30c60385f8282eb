/** The typed helpers over netlink, against the real kernel. */
import { execFileSync } from 'node:child_process'
import t from 'tap'
import { isDroverError } from '../../../kit/index.ts'
import {
  addAddress,
  createBridge,
  createVethPair,
  createVxlan,
  deleteAddress,
  deleteNeighbour,
  deleteRoute,
  forwardingObject,
  getLink,
  type KernelEvent,
  kernelErrorCode,
  LinkRemover,
  listAddresses,
  listForwarding,
  listLinks,
  listNeighbours,
  listRoutes,
  OUR_PROTOCOL,
  RouteSocket,
  replaceNeighbour,
  replaceRoute,
  routeObject,
  setLink,
  TableKeeper,
  tableOf,
  watchKernel,
  withRouteSocket,
} from '../../../netplugins/netlink/index.ts'
import { inPrivateNetwork } from '../../lab/private-network.ts'

const skip = inPrivateNetwork(import.meta.filename)

// Many processes are started; on a busy machine that takes longer than the usual limit.
t.setTimeout(120_000)

const BRIDGE = { name: 'br0', mac: '02:d0:0a:2a:00:01', mtu: 1450 }

async function bridgeIndex(socket: RouteSocket): Promise<number> {
  return (await getLink(socket, BRIDGE.name))?.index ?? 0
}

t.test('links, addresses, routes and neighbours of this host', { skip }, async t => {
  await withRouteSocket(undefined, async socket => {
    t.equal(await getLink(socket, 'br0'), undefined)
    await createBridge(socket, BRIDGE)
    const bridge = await getLink(socket, 'br0')
    t.match(bridge, { ...BRIDGE, kind: 'bridge', up: true, promiscuous: false })
    const link = bridge?.index ?? 0

    await setLink(socket, 'br0', { mtu: 1400, mac: '02:d0:0a:2a:00:02', promiscuous: true })
    t.match(await getLink(socket, 'br0'), {
      mtu: 1400,
      mac: '02:d0:0a:2a:00:02',
      promiscuous: true,
      up: true,
    })
    await setLink(socket, 'br0', { up: false })
    t.match(await getLink(socket, 'br0'), { up: false, promiscuous: true })
    await setLink(socket, 'br0', { up: true, promiscuous: false })

    const address = { link, address: '10.42.0.1', prefixLength: 16 }
    await addAddress(socket, address)
    await addAddress(socket, address)
    t.strictSame(await listAddresses(socket, link), [address])
    t.match(
      execFileSync('ip', ['-4', 'addr', 'show', 'dev', 'br0'], { encoding: 'utf8' }),
      'brd 10.42.255.255',
    )

    const routes = [
      { destination: '10.43.0.0/16', gateway: '10.42.0.9', link },
      { destination: '0.0.0.0/0', gateway: '10.42.0.7', link },
      { destination: '10.44.0.0/24', gateway: undefined, link },
    ]
    for (const route of routes) await replaceRoute(socket, route)
    for (const route of routes) await replaceRoute(socket, route)
    const found = await listRoutes(socket)
    for (const route of routes)
      t.ok(found.some(other => other.destination === route.destination && other.gateway === route.gateway))
    for (const route of routes) {
      t.equal(await deleteRoute(socket, route), true)
      t.equal(await deleteRoute(socket, route), false)
    }

    await replaceNeighbour(socket, { link, address: '10.42.0.5', mac: '02:d0:0a:2a:00:05' })
    await replaceNeighbour(socket, { link, address: '10.42.0.5', mac: '02:d0:0a:2a:00:06' })
    const neighbours = await listNeighbours(socket, link)
    t.strictSame(
      neighbours.filter(neighbour => neighbour.permanent),
      [{ link, address: '10.42.0.5', mac: '02:d0:0a:2a:00:06', permanent: true }],
    )
    t.equal(await deleteNeighbour(socket, link, '10.42.0.5'), true)

    t.equal(await deleteAddress(socket, address), true)
    t.equal(await deleteAddress(socket, address), false)
    t.equal(await new LinkRemover(socket).remove('br0'), true)
    t.equal(await new LinkRemover(socket).remove('br0'), false)
  })
})

t.test('the same in IPv6', { skip }, async t => {
  const seen: KernelEvent[] = []
  const { promise: told, resolve: tell } = Promise.withResolvers<void>()
  const stop = watchKernel(event => {
    seen.push(event)
    if (event.kind === 'route') tell()
  }, 6)
  t.teardown(stop)
  await withRouteSocket(undefined, async socket => {
    await createBridge(socket, BRIDGE)
    const link = await bridgeIndex(socket)
    const entry = { link, address: 'fd42::a2a:1', prefixLength: 112 }
    await addAddress(socket, entry)
    await addAddress(socket, entry)
    const own = (await listAddresses(socket, link, 6)).filter(({ address }) => !address.startsWith('fe80'))
    t.strictSame(own, [entry])
    t.strictSame(await listAddresses(socket, link), [], 'the other family has none')
    t.notMatch(execFileSync('ip', ['address', 'show', 'to', 'fd42::/64'], { encoding: 'utf8' }), 'tentative')

    const neighbour = { link, address: 'fe80::c000:202', mac: '02:d0:0a:2a:00:05' }
    await replaceNeighbour(socket, { ...neighbour, mac: '02:d0:0a:2a:00:06' })
    await replaceNeighbour(socket, neighbour)
    const permanent = (await listNeighbours(socket, link, 6)).filter(one => one.permanent)
    t.strictSame(permanent, [{ ...neighbour, permanent: true }])

    const route = {
      destination: 'fd42::a2a:40/122',
      gateway: neighbour.address,
      link,
      source: entry.address,
      protocol: OUR_PROTOCOL,
    }
    const keeper = new TableKeeper(socket)
    const desired = tableOf([routeObject(route), routeObject({ ...route, destination: '::/0' })])
    t.match(await keeper.change(desired, new Map()), { changes: 2, failures: new Map() })
    const listed = await listRoutes(socket, { protocol: OUR_PROTOCOL, family: 6 })
    t.match(listed.map(({ destination }) => destination).toSorted(), ['::/0', route.destination])
    t.match(await keeper.change(desired, tableOf(listed.map(routeObject))), { changes: 0 })
    const other = tableOf([routeObject({ ...route, source: undefined })])
    t.match(await keeper.change(other, tableOf(listed.map(routeObject))), { changes: 2, failures: new Map() })
    t.strictSame(await listRoutes(socket, { protocol: OUR_PROTOCOL }), [])
    t.match(await keeper.change(new Map()), { changes: 1, failures: new Map() })

    t.equal(await deleteNeighbour(socket, link, neighbour.address), true)
    t.equal(await deleteNeighbour(socket, link, neighbour.address), false)
    t.equal(await deleteAddress(socket, entry), true)
    t.equal(await deleteAddress(socket, entry), false)
    await told
    t.match(
      seen.find(event => event.kind === 'address' && event.address === entry.address),
      { link, family: 6 },
    )
    t.notOk(seen.some(event => event.kind === 'link' || event.kind === 'lost'))
    await new LinkRemover(socket).remove('br0')
  })
})

t.test('a veth pair into another namespace, in one request', { skip }, async t => {
  execFileSync('ip', ['netns', 'add', 'blue'])
  t.teardown(() => execFileSync('ip', ['netns', 'delete', 'blue']))
  const namespace = '/run/netns/blue'
  await withRouteSocket(undefined, async socket => {
    await createBridge(socket, BRIDGE)
    const master = await bridgeIndex(socket)
    const pair = {
      name: 'vethr1',
      mtu: 1450,
      master,
      peer: { name: 'eth0', mac: '02:d0:0a:2a:00:05', namespace },
    }
    await createVethPair(socket, pair)
    t.match(await getLink(socket, 'vethr1'), { kind: 'veth', mtu: 1450, master, up: true })
    await withRouteSocket(namespace, async inside => {
      t.match(await getLink(inside, 'eth0'), { kind: 'veth', mtu: 1450, mac: '02:d0:0a:2a:00:05', up: false })
      t.equal((await listLinks(inside)).length, 2)
    })
    t.equal(await getLink(socket, 'eth0'), undefined, 'it never was in this namespace')

    const twice = await createVethPair(socket, pair).catch((error: unknown) => error)
    t.ok(isDroverError(twice, 'KernelRefused'))
    t.equal(kernelErrorCode(twice), 'EEXIST')
    t.match(String(twice), 'vethr1')
    const takenInside = await createVethPair(socket, { ...pair, name: 'vethr2' }).catch(
      (error: unknown) => error,
    )
    t.equal(kernelErrorCode(takenInside), 'EEXIST')
    t.equal(await getLink(socket, 'vethr2'), undefined, 'nothing half done')

    const remover = new LinkRemover(socket)
    t.strictSame(await Promise.all([remover.remove('vethr1'), remover.remove('none')]), [true, false])
    t.equal(await getLink(socket, 'vethr1'), undefined)
    await new LinkRemover(socket).remove('br0')
  })
})

t.test('namespaces that are none', { skip }, async t => {
  t.throws(() => RouteSocket.open('/run/netns/none'), { code: 'NamespaceMissing', message: /netns\/none/ })
  t.throws(() => RouteSocket.open('/proc/self/ns/mnt'), { code: 'NamespaceRefused' })
  execFileSync('mkfifo', ['/run/pipe'])
  t.throws(() => RouteSocket.open('/run/pipe'), { code: 'NamespaceRefused' })
  await withRouteSocket(undefined, async socket => {
    await t.rejects(
      createVethPair(socket, {
        name: 'vethr1',
        mtu: 1500,
        master: 0,
        peer: { name: 'eth0', mac: '02:d0:0a:2a:00:05', namespace: '/run/netns/none' },
      }),
      { code: 'NamespaceMissing' },
    )
    await t.rejects(setLink(socket, 'none', { up: true }), {
      code: 'KernelRefused',
      message: /link none.*ENODEV/,
    })
  })
})

t.test('many requests at once do not disturb each other', { skip }, async t => {
  await withRouteSocket(undefined, async socket => {
    await createBridge(socket, BRIDGE)
    const link = await bridgeIndex(socket)
    const hosts = Array.from({ length: 60 }, (_, host) => host + 2)
    await Promise.all(
      hosts.flatMap(host => [
        addAddress(socket, { link, address: `10.42.0.${host}`, prefixLength: 16 }),
        listAddresses(socket, link),
        listLinks(socket),
      ]),
    )
    t.equal((await listAddresses(socket, link)).length, 60)
    await new LinkRemover(socket).remove('br0')
  })
})

t.test('a batch answers for each of its requests', { skip }, async t => {
  await withRouteSocket(undefined, async socket => {
    await createBridge(socket, BRIDGE)
    const link = await bridgeIndex(socket)
    const route = (destination: string, gateway?: string) =>
      routeObject({ destination, gateway, link, onLink: gateway !== undefined, protocol: OUR_PROTOCOL })
    const many = Array.from({ length: 300 }, (_, n) => route(`10.${n >> 8}.${n & 255}.0/24`, '192.0.2.9'))
    const wrong = routeObject({ destination: '10.99.0.0/16', gateway: undefined, link: 9999 })
    const requests = [...many, wrong, ...many.slice(0, 1)].map(object => object.add())
    const results = await socket.batch(requests)
    t.equal(results.length, 302)
    t.equal(results.filter(result => result !== undefined).length, 2)
    t.equal(kernelErrorCode(results[300]), 'ENODEV')
    t.equal(kernelErrorCode(results[301]), 'EEXIST')
    t.match(results[301]?.message, 'route to 10.0.0.0/24')

    await replaceRoute(socket, { destination: '10.98.0.0/16', gateway: undefined, link })
    t.equal((await listRoutes(socket, { protocol: OUR_PROTOCOL })).length, 300)
    await replaceRoute(socket, { destination: '10.97.0.0/16', gateway: undefined, link, table: 1042 })
    t.match(await listRoutes(socket, { table: 1042 }), [{ destination: '10.97.0.0/16', link, table: 1042 }])

    const keeper = new TableKeeper(socket)
    const actual = tableOf((await listRoutes(socket, { protocol: OUR_PROTOCOL })).map(routeObject))
    const desired = tableOf([route('10.0.0.0/24', '192.0.2.8'), ...many.slice(1, 10), route('10.50.0.0/16')])
    t.match(await keeper.change(desired, actual), { changes: 2 + 290, failures: new Map() })
    t.match(await keeper.change(desired), { changes: 0 })
    t.ok(keeper.holds(route('10.0.0.0/24', '192.0.2.8')))
    t.notOk(keeper.holds(route('10.0.0.0/24', '192.0.2.9')))
    t.match(await keeper.change(new Map()), { changes: 11 })
    t.strictSame(await listRoutes(socket, { protocol: OUR_PROTOCOL }), [])
    await new LinkRemover(socket).remove('br0')
  })
})

t.test("somebody else's routes, of every kind, are no obstacle", { skip }, async t => {
  const seen: KernelEvent[] = []
  const stop = watchKernel(event => seen.push(event))
  t.teardown(stop)
  execFileSync('ip', ['-batch', '-'], {
    input: [
      'link add br0 type bridge',
      'link set br0 up',
      'address add 192.0.2.1/24 dev br0',
      'route add 10.0.0.0/16 via 192.0.2.2 mtu lock 1300 initcwnd 10 quickack 1 rto_min 5ms features ecn congctl reno',
      'route add 10.1.0.0/16 nexthop via 192.0.2.2 nexthop via 192.0.2.3',
      'route add blackhole 10.2.0.0/16',
      'route add 10.3.0.0/16 via inet6 fe80::1 dev br0',
      'nexthop add id 7 via 192.0.2.9 dev br0',
      'route add 10.4.0.0/16 nhid 7',
      'route add 10.5.0.0/16 via 192.0.2.3 realm 3 table 5000 metric 9 proto 250',
      'route delete 10.3.0.0/16',
      'route add 10.3.0.0/16 via inet6 fe80::1 dev br0',
    ].join('\n'),
  })
  await withRouteSocket(undefined, async socket => {
    const routes = await listRoutes(socket)
    const found = (destination: string) => routes.find(route => route.destination === destination)
    t.match(found('10.0.0.0/16'), { gateway: '192.0.2.2', protocol: 3, metric: 0, onLink: false })
    t.match(found('192.0.2.0/24'), { gateway: undefined, source: '192.0.2.1', protocol: 2 })
    t.match(found('10.3.0.0/16'), { gateway: undefined })
    t.equal(found('10.2.0.0/16'), undefined)
    t.match(await listRoutes(socket, { table: 5000 }), [{ metric: 9, protocol: 250, table: 5000 }])
    t.notOk(seen.some(event => event.kind === 'lost'))
    await new LinkRemover(socket).remove('br0')
  })
  execFileSync('ip', ['route', 'flush', 'table', 'main'])
})

t.test('a VXLAN link reads as it was made', { skip }, async t => {
  await withRouteSocket(undefined, async socket => {
    const settings = { id: 7, port: 4790, local: '192.0.2.1', learning: false }
    await createVxlan(socket, { name: 'vx7', mac: '0e:00:00:00:00:07', mtu: 1400, ...settings })
    const link = await getLink(socket, 'vx7')
    t.match(link, { kind: 'vxlan', mac: '0e:00:00:00:00:07', mtu: 1400, up: true, vxlan: settings })
    const entry = { link: link?.index ?? 0, mac: '0e:00:00:00:00:08', host: '192.0.2.8' }
    t.strictSame(await socket.batch([forwardingObject(entry).add()]), [undefined])
    t.strictSame(await listForwarding(socket, entry.link), [entry])
    const details = execFileSync('ip', ['-details', 'link', 'show', 'vx7'], { encoding: 'utf8' })
    t.match(details, /vxlan id 7 local 192\.0\.2\.1.*dstport 4790 nolearning/)
    await new LinkRemover(socket).remove('vx7')
    t.strictSame(await socket.batch([forwardingObject(entry).remove()]), [undefined], 'gone is gone')
  })
})

t.test('the kernel tells what changes', { skip }, async t => {
  const seen: KernelEvent[] = []
  let wake = () => {}
  const stop = watchKernel(event => {
    seen.push(event)
    wake()
  })
  const until = async (fits: (event: KernelEvent) => boolean) => {
    while (!seen.some(fits))
      await new Promise<void>(resolve => {
        wake = resolve
      })
  }
  const alive = setInterval(() => undefined, 1000)
  t.teardown(() => clearInterval(alive))
  await withRouteSocket(undefined, async socket => {
    await createBridge(socket, BRIDGE)
    const link = await bridgeIndex(socket)
    await until(event => event.kind === 'link' && event.link.name === 'br0' && !event.removed)
    await addAddress(socket, { link, address: '10.42.0.1', prefixLength: 16 })
    await until(event => event.kind === 'address' && event.link === link)
    await new LinkRemover(socket).remove('br0')
    await until(event => event.kind === 'link' && event.link.name === 'br0' && event.removed)
  })
  t.pass('every change was told')
  // More than any buffer holds while nobody reads: some are lost, and that is all. Addresses, because when thousands of links
  // go, the kernel makes every namespace of the machine wait.
  const told = seen.length
  const flood = Array.from({ length: 2500 }, (_, n) => `address add 10.0.${n >> 8}.${n & 255}/32 dev lo`)
  execFileSync('ip', ['-batch', '-'], { input: flood.join('\n') })
  await withRouteSocket(undefined, async socket => {
    t.ok((await listAddresses(socket, 1)).length > 2500)
  })
  await until(event => seen.indexOf(event) >= told && event.kind === 'address')
  stop()
})
