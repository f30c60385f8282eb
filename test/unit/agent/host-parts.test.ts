/** By what hosts prove to each other who they are. */
import t from 'tap'
import { certificateProof } from '../../../agent/host-parts.ts'

t.test('by the certificate that the server gave', async t => {
  const credentials = { authority: 'A', certificate: 'C', privateKey: 'K' }
  t.equal(certificateProof(undefined, 'own', new Map()), undefined)
  const proof = certificateProof(credentials, 'own', new Map([['1h2', 'other']]))
  t.match(proof, { kind: 'certificate', ...credentials, identity: 'CN=own' })
  const peer = { name: 'n', address: '192.0.2.2', blocks: [], labels: {} }
  t.equal(proof?.identityOf({ ...peer, hostId: '1h2' }), 'CN=other')
  const nobody = proof?.identityOf({ ...peer, hostId: '1h3' })
  t.match(nobody, /unknown/, 'a certificate alone makes nobody a peer')
})
