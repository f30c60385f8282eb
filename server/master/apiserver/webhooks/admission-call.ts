/**
 * What webhooks have to say about one request: mutating ones one after the other, each seeing what the last one made;
 * validating ones side by side (Kubernetes "Dynamic Admission Control").
 */
import { randomUUID } from 'node:crypto'
import type { Authorizer } from '../access/index.ts'
import type { BackendClient, ClusterView } from '../backends/index.ts'
import type { Resource } from '../catalog/index.ts'
import { cloneJson, equalJson, type Frozen, isJsonObject, type JsonObject, type JsonValue } from '../json.ts'
import type { LabelSelector } from '../objects.ts'
import { applyJsonPatch } from '../patch/index.ts'
import { isEmptySelector, selectorMatches } from '../selection/index.ts'
import { badRequest, forbidden, notFound, StatusError } from '../status.ts'
import { postReview } from '../webhook-client/index.ts'
import {
  type AdmissionAttributes,
  callFailure,
  denial,
  internalFailure,
  readVerdict,
  requestOf,
  reviewOf,
  type Verdict,
} from './admission-review.ts'
import type { Concerned, Invocation } from './admission-webhooks.ts'
import type { Webhook } from './configuration.ts'
import { evaluateConditions } from './match-conditions.ts'

/** Seconds. */
const DEFAULT_TIMEOUT = 10
/** Seconds for all webhooks of a request together, those that are asked again included. */
const LONGEST_WAIT = 60
const NAME_LABEL = 'kubernetes.io/metadata.name'

/** The objects of a request, in the forms in which webhooks want to see them. */
export interface ObjectForms<T> {
  /** What is shown may be kept and changed. */
  show(object: Frozen<T>, form: Resource): Promise<JsonObject>
  /** @throws `BadRequest`, `Invalid` for what does not fit the form */
  take(shown: JsonObject, form: Resource): Promise<T>
}

export interface AdmissionCallOptions<T> {
  readonly cluster: ClusterView
  readonly client: BackendClient
  readonly authorizer: Authorizer
  readonly attributes: AdmissionAttributes
  readonly concerned: Concerned
  readonly forms: ObjectForms<T>
  /** Tells the client something beside the answer. */
  readonly warn: (text: string) => void
}

interface Shown {
  readonly object: JsonValue
  readonly oldObject: JsonValue
}

function labelsOf(object: JsonValue): Readonly<Record<string, string>> | undefined {
  const metadata = isJsonObject(object) ? object.metadata : undefined
  if (!isJsonObject(metadata)) return undefined
  return (metadata.labels ?? {}) as Record<string, string>
}

function selects(selector: Frozen<LabelSelector> | undefined, { object, oldObject }: Shown): boolean {
  if (selector === undefined || isEmptySelector(selector)) return true
  return [object, oldObject].some(each => {
    const labels = labelsOf(each)
    return labels !== undefined && selectorMatches(selector, labels)
  })
}

/** Dry runs are nothing to webhooks that change something elsewhere. */
function hasSideEffects({ sideEffects }: Frozen<Webhook>): boolean {
  return sideEffects !== 'None' && sideEffects !== 'NoneOnDryRun'
}

export class AdmissionCall<T> {
  readonly #options: AdmissionCallOptions<T>
  readonly #begun = performance.now()

  constructor(options: AdmissionCallOptions<T>) {
    this.#options = options
  }

  /**
   * Asks the mutating webhooks.
   *
   * @param object as it is wanted; undefined for deletions, which nothing changes
   * @param old the version before; undefined for new objects
   * @param changeAgain what else changes objects of its kind, asked again when a webhook has changed this one
   * @returns the object as they want it
   * @throws the webhooks' refusals; `InternalError` where one failed that must not
   */
  async mutate(
    object: T | undefined,
    old: Frozen<T> | undefined,
    changeAgain: (object: T) => Promise<void> = async () => undefined,
  ): Promise<T | undefined> {
    const { mutating } = this.#options.concerned
    const round = new MutatingRound(object)
    for (const invocation of mutating) await this.#mutateOnce(invocation, round, old)
    if (!round.hasChanged || round.object === undefined) return round.object
    const before = cloneJson(round.object as unknown as JsonValue)
    await changeAgain(round.object)
    if (!equalJson(before, round.object as unknown as JsonValue)) round.change(round.object)
    for (const invocation of mutating) {
      if (round.isDueAgain(invocation.webhook)) await this.#mutateOnce(invocation, round, old)
    }
    return round.object
  }

  /**
   * Asks the validating webhooks, all at the same time.
   *
   * @param object as it will be written; undefined for deletions
   * @throws the first refusal, in the order of configurations; `InternalError` where one failed that must not
   */
  async validate(object: Frozen<T> | undefined, old: Frozen<T> | undefined): Promise<void> {
    const outcomes = await Promise.allSettled(
      this.#options.concerned.validating.map(async invocation => {
        const shown = await this.#show(invocation.form, object, old)
        if (!(await this.#concerns(invocation, shown))) return
        const verdict = await this.#ask(invocation, shown, false)
        if (verdict?.allowed === false) throw denial(invocation.webhook.name, verdict.status)
      }),
    )
    for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
  }

  async #mutateOnce(
    invocation: Invocation,
    round: MutatingRound<T>,
    old: Frozen<T> | undefined,
  ): Promise<void> {
    const { webhook, form } = invocation
    const shown = await this.#show(form, round.object as Frozen<T> | undefined, old)
    if (!(await this.#concerns(invocation, shown))) return
    const verdict = await this.#ask(invocation, shown, true)
    if (verdict === undefined) return
    if (!verdict.allowed) throw denial(webhook.name, verdict.status)
    if (verdict.patch !== undefined) {
      const next = await this.#patched(invocation, shown.object, verdict.patch)
      if (!equalJson(next as JsonValue, round.object as JsonValue)) round.change(next)
    }
    round.asked(webhook)
  }

  async #patched({ webhook, form }: Invocation, object: JsonValue, patch: JsonValue): Promise<T> {
    if (object === null) {
      throw internalFailure(
        `admission webhook ${JSON.stringify(webhook.name)} attempted to modify the object, which is not supported for this operation`,
        undefined,
      )
    }
    try {
      const patched = applyJsonPatch(cloneJson(object), patch)
      if (!isJsonObject(patched)) throw badRequest('the patched object is no object')
      return await this.#options.forms.take(patched, form)
    } catch (error) {
      if (!(error instanceof StatusError)) throw error
      throw internalFailure(
        `the patch of admission webhook ${JSON.stringify(webhook.name)} does not fit: ${error.message}`,
        error,
      )
    }
  }

  async #show(form: Resource, object: Frozen<T> | undefined, old: Frozen<T> | undefined): Promise<Shown> {
    const { forms } = this.#options
    const show = async (each: Frozen<T> | undefined) =>
      each === undefined ? null : await forms.show(each, form)
    return { object: await show(object), oldObject: await show(old) }
  }

  /** Whether a webhook's selectors and conditions mean this request. @throws `Forbidden`, `NotFound` */
  async #concerns({ webhook, form }: Invocation, shown: Shown): Promise<boolean> {
    if (!this.#isInSelectedNamespace(webhook, shown) || !selects(webhook.objectSelector, shown)) return false
    const { matchConditions = [], failurePolicy } = webhook
    if (matchConditions.length === 0) return true
    const { attributes, authorizer, cluster } = this.#options
    const result = await evaluateConditions(matchConditions, {
      ...shown,
      request: requestOf(attributes, form, ''),
      identity: attributes.identity,
      authorizer,
      view: cluster,
    })
    if (result.type !== 'failed') return result.type === 'matches'
    if (failurePolicy === 'Ignore') return false
    throw forbidden(attributes.resource, attributes.name, result.reason)
  }

  #isInSelectedNamespace({ namespaceSelector: selector }: Frozen<Webhook>, { object }: Shown): boolean {
    const { resource, subresource, operation, namespace } = this.#options.attributes
    if (namespace === '' || selector === undefined || isEmptySelector(selector)) return true
    const isNamespace = resource.kept.storeKind === 'namespaces' && subresource === ''
    const isWritten = operation === 'CREATE' || operation === 'UPDATE'
    // What is about to be written says more than what there is.
    const labels = isNamespace && isWritten ? labelsOf(object) : this.#labelsOfNamespace(namespace)
    return selectorMatches(selector, { ...labels, [NAME_LABEL]: namespace })
  }

  #labelsOfNamespace(name: string): Readonly<Record<string, string>> {
    const { cluster } = this.#options
    const stored = cluster.find('namespaces', '', name)
    if (stored === undefined) throw notFound({ group: '', resource: 'namespaces' }, name)
    return cluster.read(stored).metadata.labels ?? {}
  }

  /**
   * @returns undefined when the webhook failed and may
   * @throws `InternalError` when it may not, `BadRequest` for dry runs that it does not know
   */
  async #ask({ webhook, form }: Invocation, shown: Shown, mayPatch: boolean): Promise<Verdict | undefined> {
    const { attributes, client, cluster } = this.#options
    const { name, clientConfig, timeoutSeconds = DEFAULT_TIMEOUT, failurePolicy } = webhook
    const left = LONGEST_WAIT - (performance.now() - this.#begun) / 1000
    if (attributes.dryRun && hasSideEffects(webhook)) {
      throw badRequest(`admission webhook ${JSON.stringify(name)} does not support dry run`)
    }
    const uid = randomUUID()
    const review = reviewOf(requestOf(attributes, form, uid), shown.object, shown.oldObject)
    let phase = 'failed to call webhook'
    try {
      if (left <= 0) throw new Error('context deadline exceeded')
      const deadline = Math.min(timeoutSeconds, left) * 1000
      const answer = await postReview(client, { cluster, clientConfig, review, timeoutSeconds, deadline })
      phase = 'received invalid webhook response'
      const verdict = readVerdict(answer, uid, mayPatch)
      for (const warning of verdict.warnings) this.#options.warn(warning)
      return verdict
    } catch (error) {
      if (failurePolicy === 'Ignore') return undefined
      throw callFailure(name, `${phase}: ${error instanceof Error ? error.message : String(error)}`, error)
    }
  }
}

/** How far the mutating webhooks are. */
class MutatingRound<T> {
  object: T | undefined
  hasChanged = false
  /** Those who want to be asked again when somebody changes the object after them. */
  readonly #asked = new Set<Frozen<Webhook>>()
  readonly #dueAgain = new Set<Frozen<Webhook>>()

  constructor(object: T | undefined) {
    this.object = object
  }

  change(object: T): void {
    this.object = object
    this.hasChanged = true
    for (const webhook of this.#asked) this.#dueAgain.add(webhook)
    this.#asked.clear()
  }

  asked(webhook: Frozen<Webhook>): void {
    if (webhook.reinvocationPolicy === 'IfNeeded') this.#asked.add(webhook)
  }

  isDueAgain(webhook: Frozen<Webhook>): boolean {
    return this.#dueAgain.has(webhook)
  }
}
