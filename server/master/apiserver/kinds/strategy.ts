/** What a kind does beyond its table: how it is named, completed, checked, changed, deleted and shown. */
import type { Identity } from '../access/index.ts'
import { equalJson, type Frozen, type JsonValue } from '../json.ts'
import { checkDnsSubdomain, type FormCheck } from '../names.ts'
import type { DeleteOptions, KubernetesObject } from '../objects.ts'
import { type Printer, plainPrinter } from '../printing/index.ts'
import type { FieldProblem } from '../problems.ts'
import type { SelectableFields } from '../selection/index.ts'
import type { ObjectPart } from './object-part.ts'
import type { ServiceAddresses } from './service-addresses.ts'

/** Something taken from a pool for an object whose write may still fail. */
export interface Reservation {
  /** The write happened: what the old version held and the new one does not is free again. */
  commit(): void
  /** The write failed: nothing was taken. */
  cancel(): void
}

/** What strategies may use of the cluster that they work in. */
export interface ClusterPools {
  readonly serviceAddresses: ServiceAddresses
  /** How many custom kinds have been defined. */
  readonly definitions: { count(): number }
}

export type ReserveResult =
  | { readonly kind: 'reserved'; readonly reservation: Reservation }
  | { readonly kind: 'refused'; readonly problems: readonly FieldProblem[] }

/** Replicas of a scaled object. */
export interface ScaleAccess {
  read(object: Frozen<KubernetesObject>): {
    readonly wanted: number
    readonly actual: number
    /** As text; empty for none. */
    readonly selector: string
  }
  write(object: KubernetesObject, replicas: number): void
}

/**
 * Methods that take an object may change it, except where it is `Frozen`. They are called in the order
 * prepare… → complete → validate… → reserve.
 */
export interface KindStrategy<T extends KubernetesObject = KubernetesObject> {
  readonly checkName: FormCheck
  readonly printer: Printer<T>
  readonly selectable: SelectableFields
  /** Whether `metadata.generation` counts changes of what the user wants. */
  readonly countsGenerations: boolean
  /** Whether an update may leave out the resourceVersion. */
  readonly unconditionalUpdate: boolean
  /** Whether an update of an absent object creates it. */
  readonly createOnUpdate: boolean

  /** How the scale subresource sees objects; undefined for kinds that are not scaled. */
  readonly scale: ScaleAccess | undefined

  /** Parts that are changed on their own, by subresource. */
  readonly parts: ReadonlyMap<string, ObjectPart>

  /** Sets what a new object starts with; with a status subresource that includes its status. */
  prepareCreate(object: T, creator: Identity): void
  /** Restores what an update of the object itself must not change; the status is restored already. */
  prepareUpdate(object: T, old: Frozen<T>): void
  /** Defaults that depend on other fields. */
  complete(object: T): void
  /** @param old the version before, of an update */
  validate(object: T, old: Frozen<T> | undefined): FieldProblem[]
  validateUpdate(object: T, old: Frozen<T>): FieldProblem[]
  /** Checks an update of the status. */
  validateStatus(object: T, old: Frozen<T>): FieldProblem[]
  /** Whether two versions differ in what the user wants. */
  changesWish(next: T, old: Frozen<T>): boolean
  /** Takes what only one object of the cluster may have. */
  reserve(object: T, old: Frozen<T> | undefined, pools: ClusterPools): ReserveResult | undefined
  /** Gives it back after the object is gone. */
  release(old: Frozen<T>, pools: ClusterPools): void

  /** Seconds that the object lives on after a delete; 0 is at once. */
  gracePeriod(object: Frozen<T>, options: DeleteOptions): number
  /** Whether something besides `metadata.finalizers` holds the object. */
  holdsDeletion(object: Frozen<T>): boolean
  /** What a delete changes besides metadata. */
  markDeleted(object: T): void
}

const DEFAULTS: KindStrategy = {
  checkName: checkDnsSubdomain,
  printer: plainPrinter,
  selectable: new Map(),
  countsGenerations: false,
  unconditionalUpdate: true,
  createOnUpdate: false,
  scale: undefined,
  parts: new Map(),
  prepareCreate: () => undefined,
  prepareUpdate: () => undefined,
  complete: () => undefined,
  validate: () => [],
  validateUpdate: () => [],
  validateStatus: () => [],
  changesWish: (next, old) => !equalJson(next.spec as JsonValue, old.spec as JsonValue),
  reserve: () => undefined,
  release: () => undefined,
  gracePeriod: () => 0,
  holdsDeletion: () => false,
  markDeleted: () => undefined,
}

/** A strategy from what is special about its kind. */
export function defineStrategy<T extends KubernetesObject>(special: Partial<KindStrategy<T>>): KindStrategy {
  return Object.freeze({ ...DEFAULTS, ...(special as Partial<KindStrategy>) })
}

/** Readers of selectable fields, typed by their kind. */
export function selectableFields<T extends KubernetesObject>(
  readers: Readonly<Record<string, (object: Frozen<T>) => string | undefined>>,
): SelectableFields {
  return new Map(
    Object.entries(readers).map(([field, read]) => [
      field,
      (object: Frozen<KubernetesObject>) => read(object as Frozen<T>) ?? '',
    ]),
  )
}
