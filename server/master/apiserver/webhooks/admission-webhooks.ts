/**
 * The admission webhooks of one cluster: which of them a write concerns. Configurations are read when they change, and
 * for what concerns nobody it is one look into a table.
 */
import type { Space, StoredObject } from '../../../store/index.ts'
import type { Authorizer } from '../access/index.ts'
import type { BackendClient, ClusterView } from '../backends/index.ts'
import type { Catalog, Resource } from '../catalog/index.ts'
import type { Frozen } from '../json.ts'
import { AdmissionCall, type ObjectForms } from './admission-call.ts'
import type { AdmissionAttributes } from './admission-review.ts'
import { MUTATING_KIND, VALIDATING_KIND, type Webhook, type WebhookConfiguration } from './configuration.ts'
import { chosenForm, isExempt } from './matching.ts'

/** Answers that are remembered; there are about this many resources times operations in a large cluster. */
const REMEMBERED = 4096

/** A webhook, and the form in which it wants to see what a request is about. */
export interface Invocation {
  readonly webhook: Frozen<Webhook>
  readonly form: Resource
}

/** In the order in which they are asked. */
export interface Concerned {
  readonly mutating: readonly Invocation[]
  readonly validating: readonly Invocation[]
}

const NOBODY: Concerned = { mutating: [], validating: [] }

export interface AdmissionWebhooksOptions {
  readonly cluster: ClusterView
  readonly space: Space
  readonly catalog: () => Catalog
  readonly client: BackendClient
  readonly authorizer: Authorizer
}

export class AdmissionWebhooks {
  readonly #options: AdmissionWebhooksOptions
  #webhooks: { readonly mutating: Frozen<Webhook>[]; readonly validating: Frozen<Webhook>[] } | undefined
  #catalog: Catalog | undefined
  readonly #concerned = new Map<string, Concerned>()

  constructor(options: AdmissionWebhooksOptions) {
    this.#options = options
  }

  /** Configurations have changed. */
  changed(): void {
    this.#webhooks = undefined
    this.#concerned.clear()
  }

  /** What has to be asked about a request; undefined when that is nobody. */
  admission<T>(
    attributes: AdmissionAttributes,
    forms: ObjectForms<T>,
    warn: (text: string) => void,
  ): AdmissionCall<T> | undefined {
    const concerned = this.#find(attributes)
    if (concerned === NOBODY) return undefined
    const { cluster, client, authorizer } = this.#options
    return new AdmissionCall({ cluster, client, authorizer, attributes, concerned, forms, warn })
  }

  /** Whether there are no webhooks at all. */
  get isEmpty(): boolean {
    const { mutating, validating } = this.#webhooks ?? this.#read()
    return mutating.length === 0 && validating.length === 0
  }

  #find(attributes: AdmissionAttributes): Concerned {
    const { mutating, validating } = this.#webhooks ?? this.#read()
    if (mutating.length === 0 && validating.length === 0) return NOBODY
    const catalog = this.#options.catalog()
    if (catalog !== this.#catalog) this.#concerned.clear()
    this.#catalog = catalog
    const { operation, resource, subresource, namespace } = attributes
    const key = [
      operation,
      resource.group,
      resource.version,
      resource.resource,
      subresource,
      namespace === '' ? '' : 'namespaced',
    ].join(' ')
    const known = this.#concerned.get(key)
    if (known !== undefined) return known
    const found = isExempt(resource)
      ? NOBODY
      : concernedBy(attributes, formsOf(catalog, resource, subresource), mutating, validating)
    if (this.#concerned.size >= REMEMBERED) this.#concerned.clear()
    this.#concerned.set(key, found)
    return found
  }

  #read() {
    this.#webhooks = {
      mutating: this.#webhooksOf(MUTATING_KIND),
      validating: this.#webhooksOf(VALIDATING_KIND),
    }
    return this.#webhooks
  }

  /** Lists are in the order of names, which is the order in which webhooks are asked. */
  #webhooksOf(kind: string): Frozen<Webhook>[] {
    const { cluster, space } = this.#options
    return space
      .list(kind)
      .objects.flatMap(
        (stored: StoredObject) =>
          (cluster.read(stored) as unknown as Frozen<WebhookConfiguration>).webhooks ?? [],
      )
  }
}

/** The resource, and others that show the same objects. */
function formsOf(catalog: Catalog, resource: Resource, subresource: string): Resource[] {
  const others = catalog.groupVersions
    .flatMap(({ resources }) => resources)
    .filter(each => each !== resource && each.kept.storeKind === resource.kept.storeKind && !each.review)
    .filter(each => subresource === '' || each.subresources.has(subresource))
  return [resource, ...others]
}

function concernedBy(
  { operation, subresource, namespace }: AdmissionAttributes,
  forms: readonly Resource[],
  mutating: readonly Frozen<Webhook>[],
  validating: readonly Frozen<Webhook>[],
): Concerned {
  const request = { operation, subresource, namespace, group: '', version: '', resource: '' }
  const choose = (webhooks: readonly Frozen<Webhook>[]) =>
    webhooks.flatMap(webhook => {
      const form = chosenForm(webhook, request, forms)
      return form === undefined ? [] : [{ webhook, form }]
    })
  const concerned = { mutating: choose(mutating), validating: choose(validating) }
  return concerned.mutating.length + concerned.validating.length === 0 ? NOBODY : concerned
}
