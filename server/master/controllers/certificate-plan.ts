/**
 * Which requests for certificates are approved by themselves, signed, and forgotten (Kubernetes "Certificates and
 * Certificate Signing Requests"). Pure; times are milliseconds since 1970.
 */
import type { SigningRequest } from '../../../kit/x509/index.ts'
import type { CertificateSigningRequest, Frozen, Node } from '../apiserver/index.ts'

type Request = Frozen<CertificateSigningRequest>

const KUBELET_CLIENT = 'kubernetes.io/kube-apiserver-client-kubelet'
export const KUBELET_SERVING = 'kubernetes.io/kubelet-serving'
const CLIENT = 'kubernetes.io/kube-apiserver-client'
const SIGNERS: ReadonlySet<string> = new Set([KUBELET_CLIENT, KUBELET_SERVING, CLIENT])
const NODES = 'system:nodes'
const NODE_PREFIX = 'system:node:'
const MASTERS = 'system:masters'
/** Groups of the program's own parts. */
const OWN_PREFIX = 'drover:'

const HOUR = 3_600_000
/** How long requests are kept after they came, by what became of them. */
const KEPT = { decided: HOUR, pending: 24 * HOUR }
const LONGEST = 365 * 24 * HOUR

function has({ status }: Request, type: string): boolean {
  return status?.conditions?.some(condition => condition.type === type) === true
}

/** Whether it is about a node, for these uses alone. @param use besides those of every certificate */
function isOfNode(request: Request, parsed: SigningRequest, use: string): boolean {
  const usages = new Set(request.spec.usages)
  return (
    parsed.organizations.length === 1 &&
    parsed.organizations[0] === NODES &&
    parsed.commonName.startsWith(NODE_PREFIX) &&
    parsed.commonName.length > NODE_PREFIX.length &&
    usages.delete(use) &&
    usages.delete('digital signature') &&
    [...usages].every(usage => usage === 'key encipherment')
  )
}

/** Whether it is a kubelet's request for what it needs to speak to the API, and for nothing else. */
function isKubeletClient(request: Request, parsed: SigningRequest): boolean {
  return (
    request.spec.signerName === KUBELET_CLIENT &&
    isOfNode(request, parsed, 'client auth') &&
    parsed.alternativeNames.length === 0
  )
}

/** Whether it is a kubelet's request for what it proves itself by to those who ask it, sent by that kubelet. */
function isKubeletServing(request: Request, parsed: SigningRequest): boolean {
  const { signerName, username, groups = [] } = request.spec
  return (
    signerName === KUBELET_SERVING &&
    isOfNode(request, parsed, 'server auth') &&
    parsed.alternativeNames.length > 0 &&
    parsed.alternativeNames.every(name => /^(dns|ip):/.test(name)) &&
    username === parsed.commonName &&
    groups.includes(NODES)
  )
}

/**
 * Whether every name that a kubelet asks for is its node's own, and no other node's.
 *
 * @param name of the node
 */
export function mayServe(
  parsed: SigningRequest,
  name: string,
  nodes: readonly Frozen<Pick<Node, 'metadata' | 'status'>>[],
): boolean {
  const namesOf = ({ metadata, status }: Frozen<Pick<Node, 'metadata' | 'status'>>) =>
    new Set([metadata.name, ...(status?.addresses ?? []).map(({ address }) => address)])
  const own = nodes.find(({ metadata }) => metadata.name === name)
  if (own === undefined) return false
  const others = nodes.filter(node => node !== own).map(namesOf)
  return parsed.alternativeNames.every(each => {
    const text = each.replace(/^(dns|ip):/, '')
    return namesOf(own).has(text) && !others.some(names => names.has(text))
  })
}

/** The node that a request is about. */
export function nodeNameOf({ commonName }: SigningRequest): string {
  return commonName.slice(NODE_PREFIX.length)
}

/** What a signer does not sign, in words; undefined for what it does. */
function objection(request: Request, parsed: SigningRequest): string | undefined {
  const { signerName, usages = [] } = request.spec
  if (signerName === KUBELET_CLIENT)
    return isKubeletClient(request, parsed) ? undefined : 'it is not what a kubelet asks for'
  if (signerName === KUBELET_SERVING)
    return isKubeletServing(request, parsed) ? undefined : 'it is not what a kubelet asks for'
  const mighty = parsed.organizations.find(each => each === MASTERS || each.startsWith(OWN_PREFIX))
  if (mighty !== undefined) return `no certificate is signed for the group ${mighty}`
  const strange = usages.find(
    usage => !['client auth', 'digital signature', 'key encipherment'].includes(usage),
  )
  if (strange !== undefined) return `usage ${JSON.stringify(strange)} is not for clients`
  return usages.includes('client auth') ? undefined : 'usage "client auth" is missing'
}

export type RequestPlan =
  | { readonly type: 'keep'; readonly lookAt: number }
  /** Whoever sent it has to have the right to it. */
  | { readonly type: 'ask'; readonly lookAt: number }
  | { readonly type: 'sign'; readonly validMilliseconds: number }
  | { readonly type: 'fail'; readonly message: string }
  | { readonly type: 'remove' }

/** @param parsed undefined for one that is no request */
export function planRequest(request: Request, parsed: SigningRequest | undefined, now: number): RequestPlan {
  const { signerName, expirationSeconds } = request.spec
  const issued = (request.status?.certificate ?? '') !== ''
  const decided = issued || has(request, 'Denied') || has(request, 'Failed')
  const created = Date.parse(request.metadata.creationTimestamp ?? '')
  const until = created + (decided || has(request, 'Approved') ? KEPT.decided : KEPT.pending)
  if (now >= until) return { type: 'remove' }
  const keep: RequestPlan = { type: 'keep', lookAt: until }
  if (decided || !SIGNERS.has(signerName)) return keep
  if (!has(request, 'Approved')) {
    const ofKubelet =
      parsed !== undefined && (isKubeletClient(request, parsed) || isKubeletServing(request, parsed))
    return ofKubelet ? { type: 'ask', lookAt: until } : keep
  }
  if (parsed === undefined)
    return { type: 'fail', message: 'the request cannot be read, or its signature is not its own' }
  const message = objection(request, parsed)
  if (message !== undefined) return { type: 'fail', message }
  const wanted = expirationSeconds === undefined ? LONGEST : expirationSeconds * 1000
  return { type: 'sign', validMilliseconds: Math.min(LONGEST, wanted) }
}
