/**
 * Who approves a request for a certificate, or signs it, needs the right to its signer besides the one to the request
 * (Kubernetes' admission CertificateApproval and CertificateSigning).
 */
import type { Frozen } from '../json.ts'
import type { CertificateSigningRequest } from '../objects.ts'
import { forbidden } from '../status.ts'
import type { AccessView, Attributes, Authorizer } from './attributes.ts'

const GROUP = 'certificates.k8s.io'
const RESOURCE = 'certificatesigningrequests'
const VERBS = new Map([
  ['approval', 'approve'],
  ['status', 'sign'],
])

/** @throws `Forbidden` for a change of a request whose signer is not the changer's business */
export async function requireSigner(
  authorizer: Authorizer,
  attributes: Attributes,
  view: AccessView,
): Promise<void> {
  const { group, resource, subresource, verb, name } = attributes
  const right = VERBS.get(subresource)
  if (group !== GROUP || resource !== RESOURCE || right === undefined) return
  if (verb !== 'update' && verb !== 'patch') return
  const stored = view.find(`${GROUP}/${RESOURCE}`, '', name)
  // What is not there is refused by the operation.
  if (stored === undefined) return
  const { signerName } = (view.read(stored) as unknown as Frozen<CertificateSigningRequest>).spec
  const domain = signerName.split('/')[0] ?? ''
  for (const signer of [signerName, `${domain}/*`]) {
    const asked = { ...attributes, verb: right, resource: 'signers', subresource: '', name: signer }
    if ((await authorizer.authorize(asked, view)).allowed) return
  }
  throw forbidden(
    { group, resource },
    name,
    `user not permitted to ${right} requests with signerName ${JSON.stringify(signerName)}`,
  )
}
