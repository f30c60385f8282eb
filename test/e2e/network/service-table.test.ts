/** The table of services in the real kernel: a change at a time ends where everything at once does. */
import { execFileSync } from 'node:child_process'
import fc from 'fast-check'
import t from 'tap'
import {
  listChains,
  listStayingClients,
  type ProxyService,
  type ProxySlice,
  ProxyTable,
  removeServiceTable,
  rulesOfService,
  runStatements,
  type ServiceRules,
} from '../../../netplugins/service-proxy/index.ts'
import { inPrivateNetwork } from '../../lab/private-network.ts'

const skip = inPrivateNetwork(import.meta.filename)

t.setTimeout(120_000)

const HOST = { node: 'h1', podBlock: '10.42.0.0/16' }

/** What the kernel has, without what two equal tables differ in: the order of everything, and handles. */
function listed(): readonly string[] {
  const text = execFileSync('nft', ['--json', 'list', 'table', 'ip', 'drover_services'], { encoding: 'utf8' })
  const { nftables } = JSON.parse(text) as { nftables: Record<string, Record<string, unknown>>[] }
  const counters = new Map<unknown, number>()
  return nftables
    .flatMap(entry => {
      const [kind = '', object = {}] = Object.entries(entry)[0] ?? []
      if (kind === 'metainfo') return []
      const { handle: _, elem = [], ...rest } = object
      // Rules of one chain have an order.
      const place = (counters.get(`${kind} ${rest.chain}`) ?? 0) + 1
      counters.set(`${kind} ${rest.chain}`, place)
      const elements = (elem as unknown[]).map(each => JSON.stringify(each)).toSorted()
      return [JSON.stringify([kind, kind === 'rule' ? place : 0, rest, elements])]
    })
    .toSorted()
}

const endpoint = fc.record({
  addresses: fc.constantFrom('10.42.0.7', '10.42.0.8', '10.42.1.9', '10.42.2.1').map(address => [address]),
  node: fc.constantFrom('h1', 'h2'),
  ready: fc.boolean(),
  draining: fc.boolean(),
})

const spec = fc.record({
  affinity: fc.option(fc.constantFrom(60, 10_800), { nil: undefined }),
  insideLocal: fc.boolean(),
  outsideLocal: fc.boolean(),
  external: fc.boolean(),
  nodePort: fc.boolean(),
  udp: fc.boolean(),
  endpoints: fc.array(endpoint, { maxLength: 4 }),
})

/** @param number which of few services */
function rulesOf(
  number: number,
  wish: typeof spec extends fc.Arbitrary<infer Spec> ? Spec : never,
): ServiceRules {
  const protocol = wish.udp ? 'udp' : 'tcp'
  const service: ProxyService = {
    namespace: 'shop',
    name: `s${number}`,
    addresses: [`10.43.0.${number}`],
    ...(wish.affinity === undefined ? {} : { affinity: wish.affinity }),
    insideLocal: wish.insideLocal,
    outsideLocal: wish.outsideLocal,
    // All of them want the same one.
    ...(wish.external ? { externalAddresses: ['198.51.100.1'] } : {}),
    ports: [
      { name: 'main', protocol, port: 80, ...(wish.nodePort ? { nodePort: 30_000 + number } : {}) },
      { name: 'other', protocol: 'tcp', port: 81 },
    ],
  }
  const slice: ProxySlice = {
    endpoints: wish.endpoints,
    ports: [
      { name: 'main', protocol, port: 8080 },
      { name: 'other', protocol: 'tcp', port: 8081 },
    ],
  }
  return rulesOfService(service, [slice], HOST)
}

t.test('a change at a time, and everything at once', { skip }, async t => {
  const change = fc.record({
    number: fc.integer({ min: 1, max: 4 }),
    wish: fc.option(spec, { nil: undefined }),
  })
  const step = fc.array(change, { minLength: 1, maxLength: 3 })
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 8 }), async steps => {
      const table = new ProxyTable(HOST.podBlock)
      await runStatements(table.replacement())
      for (const changes of steps) {
        const rules = changes.map(
          ({ number, wish }) => [`s${number}`, wish && rulesOf(number, wish)] as const,
        )
        const statements = table.update(new Map(rules))
        if (statements !== '') await runStatements(statements)
        const actual = listed()
        const names = await listChains()
        if (!names.isSupersetOf(table.chainNames())) throw new Error('chains are missing')
        await runStatements(table.replacement())
        t.strictSame(actual, listed())
      }
    }),
    { numRuns: 30 },
  )
  await removeServiceTable()
  await removeServiceTable()
  t.equal(execFileSync('nft', ['list', 'tables'], { encoding: 'utf8' }), '')
})

t.test('clients stay with their endpoints when everything is made anew', { skip }, async t => {
  const table = new ProxyTable(HOST.podBlock)
  const wish = {
    affinity: 60 as const,
    insideLocal: false,
    outsideLocal: false,
    external: false,
    nodePort: false,
    udp: false,
  }
  const endpoints = (['10.42.0.7', '10.42.0.8'] as const).map(address => ({
    ...{ addresses: [address], node: 'h2' as const, ready: true, draining: false },
  }))
  table.update(new Map([['s1', rulesOf(1, { ...wish, endpoints })]]))
  await runStatements(table.replacement())
  const [set = ''] = [...(await listStayingClients()).keys()].filter(name => name.startsWith('stay_'))
  const clients = { '10.42.0.20': '30s', '10.42.0.21': '40s' }
  const elements = Object.entries(clients).map(([client, expires]) => `${client} expires ${expires}`)
  await runStatements(`add element ip drover_services ${set} { ${elements.join(', ')} }\n`)
  await runStatements(table.replacement(await listStayingClients()))
  const kept = (await listStayingClients()).get(set)
  t.strictSame([...(kept?.keys() ?? [])].toSorted(), Object.keys(clients))
  for (const seconds of kept?.values() ?? []) t.ok(seconds > 0 && seconds <= 40)
  await removeServiceTable()
})

t.test('what nft does not take', { skip }, async t => {
  await t.rejects(runStatements('add nonsense\n'), { code: 'ServicesRefused', message: /syntax error/ })
  t.strictSame(await listChains(), new Set())
})
