/** The names of one environment, looked up in the model. */
import type { AddressSet, Found, Scope } from '../../../dns/index.ts'
import type { ServiceInfo } from '../../../protocol/index.ts'
import { type MetadataModel, nameKey } from '../model/index.ts'
import { type AddressBook, HOSTS } from './address-book.ts'

export class EnvironmentNames implements Scope {
  readonly #model: MetadataModel
  readonly #addresses: AddressBook
  readonly #environmentUuid: string

  constructor(model: MetadataModel, addresses: AddressBook, environmentUuid: string) {
    this.#model = model
    this.#addresses = addresses
    this.#environmentUuid = environmentUuid
  }

  /**
   * `service.stack`, `sidekick.service.stack`, `container.stack` or `container`. A service wins over a container of the
   * same name.
   */
  find(relativeName: string): Found | undefined {
    const labels = relativeName.split('.')
    if (labels.at(-1) === HOSTS)
      return labels.length === 2 ? this.#addresses.host(labels[0] ?? '') : undefined
    const [stackName = '', name, sidekick] = labels.toReversed()
    if (name === undefined) return this.#container(stackName) ?? (this.#stack(stackName) && 'empty')
    const stack = labels.length > 3 ? undefined : this.#stack(stackName)
    if (stack === undefined) return undefined
    const service = this.#model.list('service', 'nameInStack', nameKey(stack.uuid, name))[0]
    if (sidekick !== undefined) return service && this.#sidekick(service, sidekick)
    return service === undefined ? this.#container(name, stack.uuid) : this.#addresses.service(service)
  }

  #stack(name: string) {
    return this.#model.list('stack', 'name', nameKey(this.#environmentUuid, name))[0]
  }

  #container(name: string, stackUuid?: string): AddressSet | undefined {
    const exists = this.#model
      .list('instance', 'name', nameKey(this.#environmentUuid, name))
      .some(instance => stackUuid === undefined || instance.stackUuid === stackUuid)
    return exists ? this.#addresses.container(this.#environmentUuid, name, stackUuid) : undefined
  }

  #sidekick(service: ServiceInfo, name: string): Found | undefined {
    const sidekick = service.sidekicks.find(other => other.toLowerCase() === name)
    return sidekick === undefined ? undefined : this.#addresses.service(service, sidekick)
  }
}
