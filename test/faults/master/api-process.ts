/** The Kubernetes API in a process of its own, to be killed: `api-process.ts DATABASE`. Tells its port to its parent. */
import { createLogger, HttpListener } from '../../../kit/index.ts'
import { KubernetesMaster, MASTERS_GROUP } from '../../../server/master/index.ts'
import { openStore } from '../../../server/store/index.ts'

const [database = ''] = process.argv.slice(2)
const log = createLogger('api', 'error')
const absent = () => Promise.reject(new Error('there are no nodes'))
const master = new KubernetesMaster({
  store: await openStore({ database, log }),
  log,
  authenticate: async () => ({ user: 'test', groups: [MASTERS_GROUP] }),
  nodes: {
    containerLogs: absent,
    runCommand: absent,
    connectToPod: absent,
    connectToNode: absent,
    connectToKubelet: absent,
  },
  serviceAccounts: { secret: 'test', issuer: cluster => cluster },
  authority: 'authority',
})
await master.start()
await master.createCluster('c1')
const listener = new HttpListener({
  name: 'http',
  host: '127.0.0.1',
  port: 0,
  onRequest: (request, response) => {
    void master.handle('c1', (request.url ?? '').split('?')[0] ?? '/', request, response)
  },
})
await listener.start()
process.on('disconnect', () => process.exit(0))
process.send?.(listener.port)
