/**
 * Requests that last: watches, logs, commands, forwarded ports. What lets somebody in can go while they are inside: a key
 * is revoked, a service account deleted, a binding removed, a kind not served any more. Whoever may be concerned is asked
 * for everything again, at that moment and by nobody's clock, and what would be refused now is ended.
 */
import { setImmediate as turn } from 'node:timers/promises'
import { type CancelTimer, type Clock, type Logger, ReconcileLoop } from '../../../../kit/index.ts'
import type { ChangeEvent, ObjectKey } from '../../../store/index.ts'
import { RBAC_KINDS } from '../access/index.ts'
import type { Resource } from '../catalog/index.ts'
import { type Cluster, keyOf, type Subscriber } from '../cluster/index.ts'
import { DEFINITIONS_KIND } from '../custom/index.ts'

/** Any change of these can give and take rights. */
const RIGHTS: ReadonlySet<string> = new Set(Object.values(RBAC_KINDS))
/** What credentials stand on, or end with. */
const PROOFS: ReadonlySet<string> = new Set(['serviceaccounts', 'secrets', 'pods', 'nodes'])
/** Requests that are asked between two looks at other work. */
const SLICE = 128
/** Milliseconds that a client has to take the end of a stream. */
const PATIENCE = 1_000

const EVERYTHING = { type: 'all' } as const

export interface LastingRequest {
  readonly cluster: Cluster
  /** What is watched; undefined for streams. */
  readonly watched: Resource | undefined
  /** Objects that its credentials end with. */
  readonly standsOn: readonly ObjectKey[]
  /** Whether it would be let in now. */
  readonly isAdmitted: () => Promise<boolean>
  /** Ends it in good order; undefined where nothing but `cut` does. */
  readonly end: (() => void) | undefined
  /** Ends it at once. */
  readonly cut: () => void
}

function textOf({ kind, namespace, name }: ObjectKey): string {
  return `${kind} ${namespace} ${name}`
}

/** The lasting requests of one cluster, and the changes that may concern them. */
class ClusterRequests implements Subscriber {
  readonly cluster: Cluster
  readonly #all = new Set<LastingRequest>()
  readonly #byProof = new Map<string, Set<LastingRequest>>()
  /** Those that have to be asked again. */
  readonly #due = new Set<LastingRequest>()
  readonly #onDue: () => void
  readonly #onEnd: () => void

  constructor(cluster: Cluster, onDue: () => void, onEnd: () => void) {
    this.cluster = cluster
    this.#onDue = onDue
    this.#onEnd = onEnd
    for (const kind of [...RIGHTS, ...PROOFS, DEFINITIONS_KIND]) {
      cluster.feed.subscribe(kind, EVERYTHING, cluster.feed.revision, this)
    }
  }

  stop(): void {
    for (const kind of [...RIGHTS, ...PROOFS, DEFINITIONS_KIND]) {
      this.cluster.feed.unsubscribe(kind, EVERYTHING, this)
    }
  }

  get size(): number {
    return this.#all.size
  }

  add(request: LastingRequest): void {
    this.#all.add(request)
    for (const key of request.standsOn.map(textOf)) {
      const present = this.#byProof.get(key)
      if (present === undefined) this.#byProof.set(key, new Set([request]))
      else present.add(request)
    }
  }

  remove(request: LastingRequest): void {
    this.#all.delete(request)
    this.#due.delete(request)
    for (const key of request.standsOn.map(textOf)) {
      const present = this.#byProof.get(key)
      present?.delete(request)
      if (present?.size === 0) this.#byProof.delete(key)
    }
  }

  receive(event: ChangeEvent): void {
    const key = keyOf(event)
    if (RIGHTS.has(key.kind)) this.ask(this.#all)
    else if (key.kind === DEFINITIONS_KIND)
      this.ask([...this.#all].filter(({ watched }) => watched !== undefined))
    // Pods and accounts are written all the time; of secrets, their contents count.
    else if (event.type === 'deleted' || key.kind === 'secrets')
      this.ask(this.#byProof.get(textOf(key)) ?? [])
  }

  /** The cluster is gone, or being opened anew: nothing of it goes on. */
  end(): void {
    for (const { end, cut } of this.#all) {
      if (end === undefined) cut()
      else end()
    }
    this.#onEnd()
  }

  askAll(): void {
    this.ask(this.#all)
  }

  ask(requests: Iterable<LastingRequest>): void {
    for (const request of requests) this.#due.add(request)
    if (this.#due.size > 0) this.#onDue()
  }

  /** The next ones that have to be asked. */
  *takeDue(): Generator<LastingRequest> {
    for (const request of this.#due) {
      this.#due.delete(request)
      yield request
    }
  }
}

export class LastingRequests {
  readonly #clock: Clock
  readonly #clusters = new Map<string, ClusterRequests>()
  /** Those whose clients are taking the end. */
  readonly #ending = new Map<LastingRequest, CancelTimer>()
  readonly #loop: ReconcileLoop

  constructor(clock: Clock, log: Logger) {
    this.#clock = clock
    this.#loop = new ReconcileLoop({
      name: 'lasting requests',
      reconcile: async id => {
        await this.#askDue(id)
        return undefined
      },
      log,
      clock,
    })
    this.#loop.start()
  }

  /** @returns to be called when the request is over */
  add(request: LastingRequest): () => void {
    const { cluster } = request
    if (cluster.feed.ended) {
      request.cut()
      return () => undefined
    }
    const requests = this.#of(cluster)
    requests.add(request)
    // Between the question whether it may come in and this moment nobody listened.
    requests.ask([request])
    return () => {
      this.#ending.get(request)?.()
      this.#ending.delete(request)
      requests.remove(request)
      if (requests.size > 0 || this.#clusters.get(cluster.id) !== requests) return
      requests.stop()
      this.#clusters.delete(cluster.id)
    }
  }

  /** Credentials that no cluster knows of may be good no more: asks everybody. */
  askAll(): void {
    for (const requests of this.#clusters.values()) requests.askAll()
  }

  async stop(): Promise<void> {
    await this.#loop.stop()
    for (const cancel of this.#ending.values()) cancel()
    this.#ending.clear()
  }

  #of(cluster: Cluster): ClusterRequests {
    const present = this.#clusters.get(cluster.id)
    if (present?.cluster === cluster) return present
    const made: ClusterRequests = new ClusterRequests(
      cluster,
      () => this.#loop.kick(cluster.id),
      () => {
        if (this.#clusters.get(cluster.id) === made) this.#clusters.delete(cluster.id)
      },
    )
    this.#clusters.set(cluster.id, made)
    return made
  }

  async #askDue(id: string): Promise<void> {
    const requests = this.#clusters.get(id)
    if (requests === undefined) return
    let asked = 0
    for (const request of requests.takeDue()) {
      try {
        if (isStale(request) || !(await request.isAdmitted())) this.#end(request)
      } catch (error) {
        // Nobody can say: it is asked again, and so are those behind it.
        requests.ask([request])
        throw error
      }
      asked += 1
      if (asked % SLICE === 0) await turn()
    }
  }

  #end(request: LastingRequest): void {
    const { end, cut } = request
    if (end === undefined) cut()
    else if (!this.#ending.has(request)) {
      this.#ending.set(request, this.#clock.after(PATIENCE, cut))
      end()
    }
  }
}

/** Whether what is watched is not served any more, or not in this form. */
function isStale({ watched, cluster }: LastingRequest): boolean {
  return (
    watched !== undefined &&
    cluster.catalog.find(watched.group, watched.version, watched.resource) !== watched
  )
}
