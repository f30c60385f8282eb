/** Tokens that are made by hand to let new hosts in (Kubernetes, "Authenticating with Bootstrap Tokens"). */
import { createHash, timingSafeEqual } from 'node:crypto'
import type { ObjectKey } from '../../../store/index.ts'
import type { AccessView, Identity } from '../access/index.ts'
import type { Frozen } from '../json.ts'
import type { Secret } from '../objects.ts'

const TOKEN = /^([a-z0-9]{6})\.([a-z0-9]{16})$/
const NAMESPACE = 'kube-system'
const SECRET_TYPE = 'bootstrap.kubernetes.io/token'
const GROUP = 'system:bootstrappers'
const EXTRA_GROUP = /^system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]$/

/** Whether a text has the form of one. */
export function isBootstrapToken(token: string): boolean {
  return TOKEN.test(token)
}

/** Where the secret of a text with this form is kept. */
export function bootstrapSecretKey(token: string): ObjectKey {
  return { kind: 'secrets', namespace: NAMESPACE, name: `bootstrap-token-${TOKEN.exec(token)?.[1] ?? ''}` }
}

function equal(left: string, right: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(left), digest(right))
}

/**
 * Who presents a bootstrap token; undefined when it is none, or not good any more.
 *
 * @param now milliseconds since 1970
 */
export function bootstrapIdentity(token: string, view: AccessView, now: number): Identity | undefined {
  const [, id, secretPart] = TOKEN.exec(token) ?? []
  if (id === undefined || secretPart === undefined) return undefined
  const { kind, namespace, name } = bootstrapSecretKey(token)
  const stored = view.find(kind, namespace, name)
  if (stored === undefined) return undefined
  const { type, data = {}, metadata } = view.read(stored) as Frozen<Secret>
  const field = (name: string) => Buffer.from(data[name] ?? '', 'base64').toString('utf8')
  if (type !== SECRET_TYPE || metadata.deletionTimestamp !== undefined) return undefined
  if (field('token-id') !== id || !equal(field('token-secret'), secretPart)) return undefined
  if (field('usage-bootstrap-authentication') !== 'true') return undefined
  const expiration = field('expiration')
  // A date that cannot be read has passed.
  if (expiration !== '' && !(now < Date.parse(expiration))) return undefined
  const more = field('auth-extra-groups').split(',').filter(Boolean)
  if (!more.every(group => EXTRA_GROUP.test(group))) return undefined
  return { user: `system:bootstrap:${id}`, groups: [GROUP, ...more] }
}
