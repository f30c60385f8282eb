/** What controllers of objects in namespaces have in common: a loop by namespace and name, fed by what is observed. */
import { ReconcileLoop, type ReconcileResult } from '../../../kit/index.ts'
import type { Frozen, KubernetesObject, ObjectName, ResourceReference } from '../apiserver/index.ts'
import type { ControllerOptions } from './controller.ts'

/** Told of every object that there is, then of every change. Must neither throw nor take long. */
export interface Sight<T extends KubernetesObject> {
  /** @param previous undefined for one that is new, or was there before anybody looked */
  seen(object: Frozen<T>, previous: Frozen<T> | undefined): void
  removed(object: Frozen<T>): void
  /** Whether an object may matter, by its text: others are never read. */
  readonly concerns?: (text: string) => boolean
}

export class ObjectLoop {
  readonly #client: ControllerOptions['client']
  readonly #loop: ReconcileLoop
  readonly #stopObserving: (() => void)[] = []

  /** @param reconcile brings what has this name to its desired state; idempotent */
  constructor(
    name: string,
    { client, clock, log }: ControllerOptions,
    reconcile: (target: ObjectName) => Promise<ReconcileResult>,
  ) {
    this.#client = client
    this.#loop = new ReconcileLoop({
      name,
      reconcile: key => {
        const [namespace = '', object = ''] = key.split('/')
        return reconcile({ namespace, name: object })
      },
      log,
      clock,
    })
  }

  kick({ namespace, name }: ObjectName): void {
    this.#loop.kick(`${namespace}/${name}`)
  }

  /** Asks for a look in so many milliseconds. */
  kickAfter({ namespace, name }: ObjectName, milliseconds: number): void {
    this.#loop.kickAfter(`${namespace}/${name}`, milliseconds)
  }

  async observe<T extends KubernetesObject>(reference: ResourceReference<T>, sight: Sight<T>): Promise<void> {
    const stop = await this.#client.observe(reference, {
      sync: objects => {
        for (const object of objects) sight.seen(object, undefined)
      },
      changed: (object, previous) => sight.seen(object, previous),
      removed: object => sight.removed(object),
      ...(sight.concerns === undefined ? {} : { concerns: sight.concerns }),
    })
    this.#stopObserving.push(stop)
  }

  /** Has every object of a kind looked at when it comes, changes or goes, by its own name. */
  async follow<T extends KubernetesObject>(reference: ResourceReference<T>): Promise<void> {
    await this.observe(reference, {
      seen: object => this.kick(nameOf(object)),
      removed: object => this.kick(nameOf(object)),
    })
  }

  start(): void {
    this.#loop.start()
  }

  /** Ends the observing, and waits for what runs. */
  async stop(): Promise<void> {
    for (const stop of this.#stopObserving) stop()
    await this.#loop.stop()
  }
}

/** Where an object is. */
export function nameOf({ metadata: { namespace = '', name } }: Frozen<KubernetesObject>): ObjectName {
  return { namespace, name }
}
