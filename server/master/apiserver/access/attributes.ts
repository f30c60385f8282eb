/** What somebody wants to do, as authorizers see it. */
import type { StoredObject } from '../../../store/index.ts'
import type { Frozen } from '../json.ts'
import type { KubernetesObject } from '../objects.ts'
import type { Identity } from './identity.ts'

export type Verb = 'get' | 'list' | 'watch' | 'create' | 'update' | 'patch' | 'delete' | 'deletecollection'

export interface Attributes {
  readonly identity: Identity
  /** A `Verb`, or another word in questions about rights: `impersonate`, `bind`, `escalate`, … */
  readonly verb: string
  readonly group: string
  readonly resource: string
  /** Empty for the object itself. */
  readonly subresource: string
  /** Empty for the cluster scope, or for all namespaces. */
  readonly namespace: string
  /** Empty when no single object is named. */
  readonly name: string
  /** What is asked for outside of the objects, such as `/metrics`; undefined for objects. */
  readonly path?: string
  /** The value that a field selector demands of a field; undefined when it leaves it open. */
  readonly requiredField: (field: string) => string | undefined
  /** The value that a label selector demands of a label; undefined when it leaves it open. Absent: there is no selector. */
  readonly requiredLabel?: (key: string) => string | undefined
}

/** What authorizers may look up. */
export interface AccessView {
  /** The current version of an object; `kind` is `pods`, or `group/resource` outside of the core group. */
  find(kind: string, namespace: string, name: string): StoredObject | undefined
  /** All of a namespace; of all namespaces, or of a kind without, when it is undefined. */
  list(kind: string, namespace: string | undefined): readonly StoredObject[]
  read(stored: StoredObject): Frozen<KubernetesObject>
}

export type Decision = { readonly allowed: true } | { readonly allowed: false; readonly reason?: string }

/** Decides about requests. The first of several that allows wins. */
export interface Authorizer {
  authorize(attributes: Attributes, view: AccessView): Decision | Promise<Decision>
}

export const ALLOWED: Decision = { allowed: true }
export const NO_OPINION: Decision = { allowed: false }

/** Asks several authorizers in turn. */
export function anyOf(authorizers: readonly Authorizer[]): Authorizer {
  return {
    async authorize(attributes, view) {
      const reasons: string[] = []
      for (const authorizer of authorizers) {
        const decision = await authorizer.authorize(attributes, view)
        if (decision.allowed) return decision
        if (decision.reason !== undefined) reasons.push(decision.reason)
      }
      return reasons.length === 0 ? NO_OPINION : { allowed: false, reason: reasons.join('; ') }
    },
  }
}
