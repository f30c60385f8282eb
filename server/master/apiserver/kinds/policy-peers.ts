/** Whom the rules of a network policy name: groups of pods, or blocks of addresses of either family. */
import { BlockList, isIP } from 'node:net'
import type { Frozen } from '../json.ts'
import type { NetworkPolicy, NetworkPolicyPeer } from '../policy-objects.ts'
import { type FieldProblem, forbiddenField, invalid, required } from '../problems.ts'
import { validateSelector } from './selectors.ts'

interface Block {
  readonly address: string
  readonly family: 'ipv4' | 'ipv6'
  readonly prefixLength: number
}

function readBlock(text: string): Block | undefined {
  const [address = '', length = '', ...rest] = text.split('/')
  const version = isIP(address)
  if (version === 0 || address.includes('%') || rest.length > 0 || !/^\d{1,3}$/.test(length)) return undefined
  const prefixLength = Number(length)
  if (prefixLength > (version === 4 ? 32 : 128)) return undefined
  return { address, family: version === 4 ? 'ipv4' : 'ipv6', prefixLength }
}

function isWithin(inner: Block, outer: Block): boolean {
  if (inner.family !== outer.family || inner.prefixLength <= outer.prefixLength) return false
  const list = new BlockList()
  list.addSubnet(outer.address, outer.prefixLength, outer.family)
  return list.check(inner.address, inner.family)
}

const BLOCK = 'must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)'

function validateBlock(
  { cidr = '', except = [] }: NonNullable<Frozen<NetworkPolicyPeer>['ipBlock']>,
  field: string,
): FieldProblem[] {
  if (cidr === '') return [required(`${field}.cidr`)]
  const whole = readBlock(cidr)
  if (whole === undefined) return [invalid(`${field}.cidr`, cidr, BLOCK)]
  return except.flatMap((text, index) => {
    const part = readBlock(text)
    const problem =
      part === undefined ? BLOCK : isWithin(part, whole) ? undefined : 'must be a strict subset of `cidr`'
    return problem === undefined ? [] : [invalid(`${field}.except[${index}]`, text, problem)]
  })
}

function validatePeer(peer: Frozen<NetworkPolicyPeer>, field: string): FieldProblem[] {
  const { ipBlock, podSelector, namespaceSelector } = peer
  const groups = [podSelector, namespaceSelector].filter(selector => selector !== undefined)
  if (ipBlock === undefined && groups.length === 0) return [required(field, 'must specify a peer')]
  return [
    ...(ipBlock !== undefined && groups.length > 0
      ? [forbiddenField(field, 'may not specify both ipBlock and another peer')]
      : []),
    ...(podSelector === undefined ? [] : validateSelector(podSelector, `${field}.podSelector`)),
    ...(namespaceSelector === undefined
      ? []
      : validateSelector(namespaceSelector, `${field}.namespaceSelector`)),
    ...(ipBlock === undefined ? [] : validateBlock(ipBlock, `${field}.ipBlock`)),
  ]
}

/** Problems of everything that the rules of a policy name. */
export function validatePeers({
  spec: { ingress = [], egress = [] },
}: Frozen<NetworkPolicy>): FieldProblem[] {
  const ofRule = (peers: readonly Frozen<NetworkPolicyPeer>[], field: string) =>
    peers.flatMap((peer, index) => validatePeer(peer, `${field}[${index}]`))
  return [
    ...ingress.flatMap(({ from = [] }, index) => ofRule(from, `spec.ingress[${index}].from`)),
    ...egress.flatMap(({ to = [] }, index) => ofRule(to, `spec.egress[${index}].to`)),
  ]
}
