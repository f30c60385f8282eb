import { X509Certificate } from 'node:crypto'
import t from 'tap'
import { certificateChecksum, certificateCovers } from '../../../kit/index.ts'
import { createCertificateAuthority, issueCertificate } from '../../../kit/x509/index.ts'

t.test('a client certificate names its holder and its groups one by one', async t => {
  const authority = await createCertificateAuthority('authority', 2)
  const pair = await issueCertificate(authority, {
    commonName: 'system:node:n1',
    organizations: ['system:nodes', 'others'],
    usage: 'client',
    validDays: 1,
  })
  const certificate = new X509Certificate(pair.certificate)
  t.equal(certificate.subject, 'O=system:nodes\nO=others\nCN=system:node:n1')
  t.ok(certificate.checkIssued(new X509Certificate(authority.certificate)))
  t.ok(certificate.verify(new X509Certificate(authority.certificate).publicKey))
  t.match(certificateChecksum(pair.certificate), /^[0-9a-f]{64}$/)
})

t.test('a server certificate covers its names for its days', async t => {
  const authority = await createCertificateAuthority('authority', 20)
  const pair = await issueCertificate(authority, {
    commonName: 'server',
    usage: 'server',
    dnsNames: ['server.example'],
    ipAddresses: ['127.0.0.1'],
    validDays: 10,
  })
  t.ok(certificateCovers(pair.certificate, ['server.example', '127.0.0.1'], 5))
  t.notOk(certificateCovers(pair.certificate, ['server.example'], 15))
  t.notOk(certificateCovers(pair.certificate, ['other.example'], 5))
})
