/**
 * Lets custom kinds be served: gives them their names, and lets a definition that is deleted go when all objects of its
 * kind are gone.
 */
import { isDeepStrictEqual } from 'node:util'
import {
  CLEANUP_FINALIZER,
  CUSTOM_RESOURCE_DEFINITIONS,
  type CustomResourceDefinition,
  type Frozen,
  formatTime,
  isEstablished,
  type JsonValue,
  type ObjectName,
  type ResourceReference,
} from '../apiserver/index.ts'
import { unlessAbsent } from './absence.ts'
import type { Controller, ControllerOptions } from './controller.ts'
import { planNames } from './custom-definition-plan.ts'
import { nameOf, ObjectLoop } from './object-loop.ts'

type Definition = Frozen<CustomResourceDefinition>

/** The kind in the version in which its objects are kept. */
function keptReference({ spec }: Definition): ResourceReference {
  const version = spec.versions.find(({ storage }) => storage)?.name ?? ''
  return { group: spec.group, version, resource: spec.names.plural }
}

export class CustomDefinitionController implements Controller {
  readonly #client: ControllerOptions['client']
  readonly #clock: ControllerOptions['clock']
  readonly #loop: ObjectLoop
  readonly #definitions = new Map<string, Definition>()
  /** Who watches what is left of kinds that are going. */
  readonly #remains = new Map<string, () => void>()

  constructor(options: ControllerOptions) {
    this.#client = options.client
    this.#clock = options.clock
    this.#loop = new ObjectLoop('custom definitions', options, async target => {
      await this.#reconcile(target)
      return undefined
    })
  }

  async start(): Promise<void> {
    await this.#loop.observe(CUSTOM_RESOURCE_DEFINITIONS, {
      seen: definition => {
        this.#definitions.set(definition.metadata.name, definition)
        this.#kickGroup(definition)
      },
      removed: definition => {
        const { name } = definition.metadata
        this.#definitions.delete(name)
        this.#forget(name)
        this.#kickGroup(definition)
      },
    })
    this.#loop.start()
  }

  async stop(): Promise<void> {
    await this.#loop.stop()
    for (const name of [...this.#remains.keys()]) this.#forget(name)
  }

  /** Names of one kind may be free for another when it changes. */
  #kickGroup({ metadata, spec }: Definition): void {
    this.#loop.kick({ namespace: '', name: metadata.name })
    for (const other of this.#definitions.values()) {
      const waits = other.spec.group === spec.group && !isEstablished(other)
      if (waits) this.#loop.kick(nameOf(other))
    }
  }

  #forget(name: string): void {
    this.#remains.get(name)?.()
    this.#remains.delete(name)
  }

  async #reconcile(target: ObjectName): Promise<void> {
    const definition = await this.#client.get(CUSTOM_RESOURCE_DEFINITIONS, target)
    if (definition === undefined) return
    const { deletionTimestamp, finalizers = [] } = definition.metadata
    if (deletionTimestamp !== undefined) {
      if (finalizers.includes(CLEANUP_FINALIZER)) await this.#cleanUp(definition)
      return
    }
    await this.#giveNames(definition)
  }

  async #giveNames(definition: Definition): Promise<void> {
    const { name } = definition.metadata
    const others = [...this.#definitions.values()].filter(
      other => other.metadata.name !== name && other.spec.group === definition.spec.group,
    )
    const { acceptedNames, conditions } = planNames(definition, others, formatTime(this.#clock.now()))
    const { status } = definition
    const same =
      isDeepStrictEqual(status?.conditions ?? [], conditions) &&
      isDeepStrictEqual(status?.acceptedNames, acceptedNames)
    if (same) return
    await unlessAbsent(async () => {
      await this.#client.patch(
        CUSTOM_RESOURCE_DEFINITIONS,
        { namespace: '', name },
        {
          type: 'json',
          part: 'status',
          body: [
            { op: 'add', path: '/status/conditions', value: conditions as unknown as JsonValue },
            { op: 'add', path: '/status/acceptedNames', value: acceptedNames as unknown as JsonValue },
          ],
        },
      )
    })
  }

  async #cleanUp(definition: Definition): Promise<void> {
    const { name, finalizers = [], resourceVersion = '' } = definition.metadata
    if (isEstablished(definition)) {
      const reference = keptReference(definition)
      await this.#observeRemains(name, reference)
      // Whoever is the last to go kicks this definition again.
      if ((await this.#client.deleteCollection(reference, '')) > 0) return
    }
    const left = finalizers.filter(each => each !== CLEANUP_FINALIZER)
    await unlessAbsent(async () => {
      await this.#client.patch(
        CUSTOM_RESOURCE_DEFINITIONS,
        { namespace: '', name },
        { type: 'merge', body: { metadata: { finalizers: left, resourceVersion } } },
      )
    })
  }

  async #observeRemains(name: string, reference: ResourceReference): Promise<void> {
    if (this.#remains.has(name)) return
    const stop = await this.#client.observe(reference, {
      sync: () => undefined,
      changed: () => undefined,
      removed: () => this.#loop.kick({ namespace: '', name }),
    })
    this.#remains.set(name, stop)
  }
}
