/**
 * The templates that a workload had, as ControllerRevisions: what `kubectl rollout history` and `undo` show and bring
 * back. The newest has the highest number; a template that comes back gets a new number.
 */
import { createHash } from 'node:crypto'
import {
  type ClusterClient,
  CONTROLLER_REVISIONS,
  type ControllerRevision,
  type Draft,
  type Frozen,
  type JsonObject,
  type ObjectName,
  type PodTemplateSpec,
  StatusError,
  type Workload,
} from '../apiserver/index.ts'
import { unlessAbsent } from './absence.ts'
import type { ObjectLoop } from './object-loop.ts'
import { controllerOf } from './owned-pods.ts'
import { ownerReferenceTo } from './owner-reference.ts'

/** Without vowels, so that no hash is a word. */
const ALPHABET = 'bcdfghjklmnpqrstvwxz2456789'
const HASH_LENGTH = 10
export const REVISION_LABEL = 'controller-revision-hash'

export interface Revision {
  readonly name: string
  readonly number: number
  /** Of its template; unlike the name it says nothing of the workload. */
  readonly hash: string
  readonly template: Frozen<PodTemplateSpec>
}

/** A short text for a template; the same template has the same one. */
function templateHash(template: Frozen<PodTemplateSpec>): string {
  const digest = createHash('sha256').update(JSON.stringify(template)).digest()
  return [...digest.subarray(0, HASH_LENGTH)].map(byte => ALPHABET[byte % ALPHABET.length]).join('')
}

function read({ metadata, revision, data }: Frozen<ControllerRevision>): Revision {
  const { $patch: _, ...template } = (data?.spec?.template ?? {}) as Frozen<PodTemplateSpec> & JsonObject
  return {
    name: metadata.name,
    number: revision,
    hash: metadata.labels?.[REVISION_LABEL] ?? '',
    template: template as unknown as Frozen<PodTemplateSpec>,
  }
}

/** Names of revisions that may go: the oldest that nobody uses beyond so many. */
function surplusRevisions(
  revisions: readonly Revision[],
  limit: number,
  used: ReadonlySet<string>,
): string[] {
  const idle = revisions.filter(({ hash }) => !used.has(hash)).toSorted((a, b) => a.number - b.number)
  return idle.slice(0, Math.max(0, idle.length - limit)).map(({ name }) => name)
}

export class RevisionHistory {
  readonly #client: ClusterClient
  readonly #kind: { readonly apiVersion: string; readonly kind: string }
  /** By the uid of the workload, then by name. */
  readonly #revisions = new Map<string, Map<string, Revision>>()

  /** @param kind of the workloads */
  constructor(client: ClusterClient, kind: { readonly apiVersion: string; readonly kind: string }) {
    this.#client = client
    this.#kind = kind
  }

  async observe(loop: ObjectLoop): Promise<void> {
    await loop.observe(CONTROLLER_REVISIONS, {
      seen: revision => this.#put(revision),
      removed: revision => {
        const owner = this.#ownerOf(revision)
        const revisions = this.#revisions.get(owner?.uid ?? '')
        revisions?.delete(revision.metadata.name)
        if (owner === undefined) return
        if (revisions?.size === 0) this.#revisions.delete(owner.uid)
        loop.kick({ namespace: revision.metadata.namespace ?? '', name: owner.name })
      },
    })
  }

  /** Forgets a workload that is gone. */
  forget(uid: string): void {
    this.#revisions.delete(uid)
  }

  of({ metadata }: Frozen<Workload>): readonly Revision[] {
    return [...(this.#revisions.get(metadata.uid ?? '')?.values() ?? [])]
  }

  /** The revision of the template that a workload has now; it is made when there is none, and is the newest then. */
  async current(workload: Frozen<Workload>): Promise<Revision> {
    const revisions = this.of(workload)
    const newest = Math.max(0, ...revisions.map(({ number }) => number))
    const hash = templateHash(workload.spec.template)
    const present = revisions.find(revision => revision.hash === hash)
    if (present === undefined) {
      return this.#put(await this.#make(this.#draft(workload, hash, newest + 1)))
    }
    if (present.number === newest) return present
    const target = this.#targetOf(workload, present.name)
    return this.#put(
      await this.#client.patch(CONTROLLER_REVISIONS, target, {
        type: 'merge',
        body: { revision: newest + 1 },
      }),
    )
  }

  /** Makes a revision, or takes the one of an earlier workload of this name that nobody has any more. */
  async #make(draft: Draft<ControllerRevision>): Promise<Frozen<ControllerRevision>> {
    try {
      return await this.#client.create(CONTROLLER_REVISIONS, draft)
    } catch (error) {
      if (!(error instanceof StatusError) || error.reason !== 'AlreadyExists') throw error
      const { namespace = '', name = '', ownerReferences = [] } = draft.metadata
      const present = await this.#client.get(CONTROLLER_REVISIONS, { namespace, name })
      if (present === undefined || controllerOf(present.metadata.ownerReferences) !== undefined) throw error
      const { uid = '' } = present.metadata
      const body = {
        metadata: { uid, ownerReferences: ownerReferences.map(each => ({ ...each })) },
        revision: draft.revision as number,
      }
      return await this.#client.patch(CONTROLLER_REVISIONS, { namespace, name }, { type: 'merge', body })
    }
  }

  /** Removes the oldest beyond the limit of a workload. @param used hashes of those that pods have, or shall have */
  async trim(workload: Frozen<Workload>, used: ReadonlySet<string>): Promise<void> {
    const { revisionHistoryLimit: limit = 10 } = workload.spec
    for (const name of surplusRevisions(this.of(workload), limit, used)) {
      await unlessAbsent(() => this.#client.delete(CONTROLLER_REVISIONS, this.#targetOf(workload, name)))
    }
  }

  #targetOf({ metadata }: Frozen<Workload>, name: string): ObjectName {
    return { namespace: metadata.namespace ?? '', name }
  }

  #ownerOf({ metadata }: Frozen<ControllerRevision>) {
    const owner = controllerOf(metadata.ownerReferences)
    return owner?.kind === this.#kind.kind ? owner : undefined
  }

  #put(object: Frozen<ControllerRevision>): Revision {
    const revision = read(object)
    const owner = this.#ownerOf(object)?.uid
    if (owner === undefined) return revision
    const revisions = this.#revisions.get(owner) ?? new Map<string, Revision>()
    this.#revisions.set(owner, revisions.set(revision.name, revision))
    return revision
  }

  #draft(workload: Frozen<Workload>, hash: string, number: number): Draft<ControllerRevision> {
    const { name, namespace, annotations = {} } = workload.metadata
    const template = structuredClone(workload.spec.template as PodTemplateSpec)
    const cause = annotations['kubernetes.io/change-cause']
    return {
      apiVersion: 'apps/v1',
      kind: 'ControllerRevision',
      metadata: {
        name: `${name}-${hash}`,
        ...(namespace === undefined ? {} : { namespace }),
        // kubectl finds the revisions of a workload by its selector.
        labels: { ...template.metadata?.labels, [REVISION_LABEL]: hash },
        ...(cause === undefined ? {} : { annotations: { 'kubernetes.io/change-cause': cause } }),
        ownerReferences: [ownerReferenceTo(workload, this.#kind)],
      },
      revision: number,
      // A patch that replaces the template whole.
      data: { spec: { template: { ...template, $patch: 'replace' } as PodTemplateSpec } },
    }
  }
}
