/** From `kubectl apply` to what `dig` is told: services, endpoint slices and names of Kubernetes. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import t, { type Test } from 'tap'
import { ClusterSource } from '../../../agent/cluster/index.ts'
import {
  KubernetesNames,
  MetadataModel,
  NameDirectory,
  Requesters,
  SignalBoard,
} from '../../../agent/metadata/index.ts'
import { DnsServer, Forwarder } from '../../../dns/index.ts'
import { createLogger, isDroverError, runCommand } from '../../../kit/index.ts'
import { KubernetesClient } from '../../../protocol/kubernetes/index.ts'
import { host } from '../../unit/agent/metadata/objects.ts'
import { eventually } from '../../unit/server/master/temporary-master.ts'
import { MasterUnderTest, missingKubectl } from '../master/kubectl.ts'

const log = createLogger('test', 'silent')

async function missingDig(): Promise<string | false> {
  try {
    await runCommand('dig', ['-v'])
    return false
  } catch (error) {
    if (isDroverError(error, 'CommandMissing')) return 'dig is not installed'
    throw error
  }
}

const skip = (await missingKubectl()) || (await missingDig())

const service = (name: string, spec: object) => ({
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name },
  spec,
})
const pod = (name: string, spec: object = {}) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name, labels: { app: 'db' } },
  spec: {
    containers: [
      { name: 'main', image: 'registry.example/db:1', ports: [{ name: 'sql', containerPort: 5432 }] },
    ],
    ...spec,
  },
})

/** The names of a cluster as a host answers them: followed from its API, asked by dig. */
class HostNames {
  readonly source: ClusterSource
  readonly #client: KubernetesClient
  readonly #dns: DnsServer

  constructor(master: MasterUnderTest, directory: string) {
    this.#client = new KubernetesClient({
      url: master.url(),
      bearerToken: master.token,
      authority: master.authority,
    })
    this.source = new ClusterSource({ client: this.#client, node: 'h1', directory, log })
    const model = new MetadataModel()
    const addresses = {
      isHostAddress: (address: string) => address === '127.0.0.1',
      isContainerAddress: () => false,
    }
    const requesters = new Requesters({ model, signals: new SignalBoard(model), addresses })
    const node = host('node1')
    requesters.setHost(node.uuid)
    model.apply([node], [])
    const kubernetes = new KubernetesNames()
    kubernetes.follow(this.source.collections)
    const clients = new NameDirectory(model, requesters, kubernetes)
    const forwarder = new Forwarder({ upstreams: [] })
    this.#dns = new DnsServer({ host: '127.0.0.1', port: 0, clients, forwarder, log })
  }

  static async start(t: Test, master: MasterUnderTest, directory: string): Promise<HostNames> {
    const made = new HostNames(master, directory)
    await made.source.start()
    await made.#dns.start()
    t.teardown(() => made.stop())
    return made
  }

  async stop(): Promise<void> {
    await this.#dns.stop()
    await this.source.stop()
    this.#client.close()
  }

  /** The lines of the answer, sorted. */
  async dig(...question: string[]): Promise<readonly string[]> {
    const { stdout } = await runCommand('dig', [
      ...['@127.0.0.1', '-p', String(this.#dns.port), '+short', '+tries=1', '+time=5'],
      ...question,
    ])
    return stdout
      .split('\n')
      .filter(line => line !== '')
      .toSorted()
  }

  async until(what: string, question: readonly string[], lines: readonly string[]): Promise<void> {
    await eventually(async () => String(await this.dig(...question)) === String(lines), what)
  }
}

t.test('names of Kubernetes', { skip, timeout: 240_000 }, async t => {
  const master = await MasterUnderTest.start(t)
  const directory = await mkdtemp(path.join(tmpdir(), 'names-'))
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  const names = await HostNames.start(t, master, directory)
  const setStatus = async (name: string, podIP: string, ready: 'True' | 'False') => {
    const status = { phase: 'Running', podIP, conditions: [{ type: 'Ready', status: ready }] }
    const patch = JSON.stringify({ status })
    await master.ok('patch', 'pod', name, '--subresource=status', '--type=merge', '-p', patch)
  }
  const selector = { app: 'db' }
  const ports = [{ name: 'sql', port: 5432, targetPort: 'sql' }]
  const file = await master.writeManifest(
    'names.yaml',
    service('web', { selector, ports: [{ name: 'http', port: 80, targetPort: 'sql' }] }),
    service('db', { clusterIP: 'None', selector, ports }),
    service('far', { type: 'ExternalName', externalName: 'web.default.svc.cluster.local' }),
    pod('db-0', { hostname: 'db-0', subdomain: 'db' }),
    pod('db-1'),
  )
  await master.ok('create', '-f', file)
  await setStatus('db-0', '10.42.0.7', 'True')
  await setStatus('db-1', '10.42.0.8', 'False')

  await t.test('kubectl shows the slices', async t => {
    const shown = await eventually(async () => {
      const text = await master.ok('get', 'endpointslices', '-l', 'kubernetes.io/service-name=db')
      return text.includes('10.42.0.8') && text
    }, 'the slice has both pods')
    t.match(
      shown,
      /^NAME +ADDRESSTYPE +PORTS +ENDPOINTS +AGE\ndb-\w{5} +IPv4 +5432 +10\.42\.0\.7,10\.42\.0\.8 /,
    )
    const { items } = await master.json('get', 'endpointslices', '-l', 'kubernetes.io/service-name=db')
    t.match(items, [
      {
        endpoints: [
          { hostname: 'db-0', conditions: { ready: true }, targetRef: { kind: 'Pod', name: 'db-0' } },
          { conditions: { ready: false } },
        ],
        metadata: { ownerReferences: [{ kind: 'Service', name: 'db' }] },
      },
    ])
  })

  const { clusterIP } = (await master.json('get', 'service', 'web')).spec
  await t.test('dig is told', async t => {
    await names.until('the address of a service', ['web.default.svc.cluster.local'], [clusterIP])
    await names.until('the ready pods', ['db.default.svc.cluster.local'], ['10.42.0.7'])
    t.same(await names.dig('kubernetes.default.svc.cluster.local'), ['10.43.0.1'])
    t.same(await names.dig('db-0.db.default.svc.cluster.local'), ['10.42.0.7'])
    t.same(await names.dig('10-42-0-7.db.default.svc.cluster.local', '+tcp'), ['10.42.0.7'])
    t.same(await names.dig('10-42-0-99.default.pod.cluster.local'), ['10.42.0.99'])
    t.same(await names.dig('far.default.svc.cluster.local'), [clusterIP, 'web.default.svc.cluster.local.'])
    t.same(await names.dig('_http._tcp.web.default.svc.cluster.local', 'SRV'), [
      '0 0 80 web.default.svc.cluster.local.',
    ])
    t.same(await names.dig('_sql._tcp.db.default.svc.cluster.local', 'SRV'), [
      '0 0 5432 db-0.db.default.svc.cluster.local.',
    ])
    t.same(await names.dig('-x', clusterIP), ['web.default.svc.cluster.local.'])
    t.same(await names.dig('-x', '10.42.0.7'), ['db-0.db.default.svc.cluster.local.'])
    t.same(await names.dig('web.default.svc.cluster.local', 'AAAA'), [])
    t.same(await names.dig('nothing.default.svc.cluster.local'), [])
  })

  await t.test('names follow pods and services', async t => {
    await setStatus('db-1', '10.42.0.8', 'True')
    await names.until('both pods', ['db.default.svc.cluster.local'], ['10.42.0.7', '10.42.0.8'])
    await master.ok('delete', 'pod', 'db-0', '--grace-period=0', '--force')
    await names.until('the pod that is left', ['db.default.svc.cluster.local'], ['10.42.0.8'])
    await names.until('no name of the other', ['db-0.db.default.svc.cluster.local'], [])
    await master.ok('delete', 'service', 'far')
    await names.until('no name of a service that went', ['far.default.svc.cluster.local'], [])
    const slices = await master.ok('get', 'endpointslices', '--no-headers')
    t.match(slices, /10\.42\.0\.8/)
  })

  await t.test('a host that starts without a server answers what it knew', async t => {
    await names.stop()
    await master.stop()
    const again = await HostNames.start(t, master, directory)
    t.same(await again.dig('web.default.svc.cluster.local'), [clusterIP])
    t.same(await again.dig('db.default.svc.cluster.local'), ['10.42.0.8'])
    t.same(await again.dig('far.default.svc.cluster.local'), [])
    await master.resume()
    await master.ok('delete', 'service', 'web')
    await again.until('what went meanwhile is forgotten', ['web.default.svc.cluster.local'], [])
  })
})
