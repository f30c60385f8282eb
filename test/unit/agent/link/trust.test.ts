/** Whom an agent believes: the server of the authority that it pinned, whatever name and certificate others show. */

import { createServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import t from 'tap'
import { AgentLink, type Membership } from '../../../../agent/link/index.ts'
import { createLogger } from '../../../../kit/index.ts'
import { createCertificateAuthority, issueCertificate } from '../../../../kit/x509/index.ts'

/** What reaches a server with a certificate of `authority`, from an agent that pinned `pinned`. */
async function headersReaching(
  authority: Awaited<ReturnType<typeof createCertificateAuthority>>,
  pinned: string,
): Promise<{ readonly authorization: string | undefined; readonly reason: string | undefined }> {
  const pair = await issueCertificate(authority, {
    commonName: 'drover',
    usage: 'server',
    validDays: 1,
    dnsNames: ['localhost'],
    ipAddresses: ['127.0.0.1'],
  })
  const outcome = Promise.withResolvers<{ authorization: string | undefined; reason: string | undefined }>()
  const server = createServer({ cert: pair.certificate, key: pair.privateKey })
  server.on('upgrade', (request, socket) => {
    outcome.resolve({ authorization: request.headers.authorization, reason: undefined })
    socket.destroy()
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const log = createLogger('test', 'silent')
  log.info = ((note: { reason?: string }) =>
    outcome.resolve({ authorization: undefined, reason: note.reason })) as typeof log.info
  const membership: Membership = {
    ...{ format: 1, hostId: '1h1', hostUuid: 'u', clusterId: '1c1', nodeName: 'h' },
    ...{ accessKey: 'access', secretKey: 'canary', authority: pinned },
    serverUrl: `https://127.0.0.1:${(server.address() as AddressInfo).port}`,
  }
  const link = new AgentLink({ membership, log } as unknown as ConstructorParameters<typeof AgentLink>[0])
  await link.start()
  try {
    return await outcome.promise
  } finally {
    await link.stop()
    await new Promise(resolve => server.close(resolve))
  }
}

t.test('the server of another authority is told nothing', async t => {
  const [own, other] = await Promise.all([
    createCertificateAuthority('drover-ca', 1),
    createCertificateAuthority('drover-ca', 1),
  ])
  const right = await headersReaching(own, own.certificate)
  t.match(right.authorization, /^Basic /, 'the right one is')
  const wrong = await headersReaching(other, own.certificate)
  t.equal(wrong.authorization, undefined)
  t.match(wrong.reason, /certificate|signature/)
})
