/** HTTP to pods through the API, by TLS where the pod speaks it. */
import { once } from 'node:events'
import { createServer as createHttp, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createHttps } from 'node:https'
import { type AddressInfo, connect } from 'node:net'
import t from 'tap'
import { createCertificateAuthority, issueCertificate } from '../../../../kit/x509/index.ts'
import { pod, temporaryMaster } from './temporary-master.ts'

const PODS = '/api/v1/namespaces/default/pods'

t.test('pods/NAME/proxy', async t => {
  const authority = await createCertificateAuthority('somebody', 1)
  const pair = await issueCertificate(authority, {
    commonName: 'another name',
    usage: 'server',
    validDays: 1,
  })
  const answer = (scheme: string) => (request: IncomingMessage, response: ServerResponse) => {
    const { url, headers } = request
    response.end(JSON.stringify({ scheme, url, authorization: headers.authorization }))
  }
  const servers = [
    createHttp(answer('http')),
    createHttps({ cert: pair.certificate, key: pair.privateKey }, answer('https')),
  ]
  const ports = new Map<number, number>()
  for (const [index, server] of servers.entries()) {
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    ports.set(index === 0 ? 8080 : 8443, (server.address() as AddressInfo).port)
    t.teardown(() => {
      server.closeAllConnections()
      server.close()
    })
  }
  const { ask } = await temporaryMaster(t, {
    connectToPod: async (_cluster, _node, { port }) => connect(ports.get(port) ?? 1, '127.0.0.1'),
  })
  await ask(PODS, { method: 'POST', body: pod('web', { nodeName: 'n1' }) })
  const asked = async (target: string) => await ask(`${PODS}/${target}/proxy/a?b=c`)
  t.same((await asked('web:8080')).body, { scheme: 'http', url: '/a?b=c' })
  t.same((await asked('http:web:8080')).body, { scheme: 'http', url: '/a?b=c' })
  t.same(
    (await asked('https:web:8443')).body,
    { scheme: 'https', url: '/a?b=c' },
    'whoever its certificate is of',
  )
  t.match(await asked('https:web:8080'), { status: 503, body: { message: /error trying to reach service/ } })
  t.equal((await asked('https:web:9')).status, 503)
  t.match(await asked('ftp:web:8080'), { status: 400 })
})
