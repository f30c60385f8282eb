/** The Kubernetes API in a process of its own, over TLS, as `drover server` has it: for the benches of this folder. */
import { createLogger, HttpListener, releaseMemory } from '../../../kit/index.ts'
import { createCertificateAuthority, issueCertificate } from '../../../kit/x509/index.ts'
import { KubernetesMaster, MASTERS_GROUP } from '../../../server/master/index.ts'
import { openStore } from '../../../server/store/index.ts'

export type Order =
  | { readonly do: 'create' | 'delete'; readonly cluster: string }
  | { readonly do: 'measure' }
export interface Answer {
  readonly authority?: string
  readonly port?: number
  /** Bytes. */
  readonly resident?: number
  readonly heap?: number
  /** Milliseconds of processor time so far. */
  readonly processor?: number
  /** Clusters that are not in memory. */
  readonly asleep?: number
}

const [database = '', suspendAfter] = process.argv.slice(2)
const log = createLogger('bench', 'error')
const store = await openStore({ database, log })
const absent = () => Promise.reject(new Error('there are no nodes'))
const master = new KubernetesMaster({
  store,
  log,
  authenticate: async () => ({ user: 'bench', groups: [MASTERS_GROUP] }),
  nodes: {
    containerLogs: absent,
    runCommand: absent,
    connectToPod: absent,
    connectToNode: absent,
    connectToKubelet: absent,
  },
  serviceAccounts: { secret: 'bench', issuer: cluster => `https://bench.test/k8s/clusters/${cluster}` },
  authority: 'authority',
  ...(suspendAfter === undefined ? {} : { suspendAfter: Number(suspendAfter) }),
})
await master.start()
const authority = await createCertificateAuthority('bench', 1)
const server = await issueCertificate(authority, {
  commonName: 'bench',
  dnsNames: ['localhost'],
  ipAddresses: ['127.0.0.1'],
  usage: 'server',
  validDays: 1,
})
const listener = new HttpListener({
  name: 'https',
  host: '127.0.0.1',
  port: 0,
  tls: { cert: server.certificate, key: server.privateKey },
  onRequest: (request, response) => {
    const [, cluster = '', rest = '/'] = /^\/k8s\/clusters\/([^/?]+)([^?]*)/.exec(request.url ?? '') ?? []
    void master.handle(cluster, rest, request, response)
  },
})
await listener.start()

const answer = (message: Answer) => process.send?.(message)

function measure(): Answer {
  // What a server does itself when it has nothing else to do.
  releaseMemory()
  const { rss, heapUsed, external } = process.memoryUsage()
  const { user, system } = process.cpuUsage()
  return {
    resident: rss,
    heap: heapUsed + external,
    processor: (user + system) / 1000,
    asleep: master.clusterCounts.asleep,
  }
}

process.on('message', (order: Order) => {
  const work = async (): Promise<Answer> => {
    if (order.do === 'measure') return measure()
    if (order.do === 'create') await master.createCluster(order.cluster)
    else await master.deleteCluster(order.cluster)
    return {}
  }
  void work().then(answer)
})
process.on('disconnect', () => process.exit(0))
answer({ authority: authority.certificate, port: listener.port })
