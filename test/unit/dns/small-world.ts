/** Two environments and a host, without any metadata: what the DNS server needs to know of a world. */
import {
  AddressSet,
  type ClientDirectory,
  type ClientView,
  type HostView,
  type MemberView,
  type Scope,
} from '../../../dns/index.ts'

export function addresses(...list: string[]): AddressSet {
  return new AddressSet(() => list.map(address => ({ address, healthy: true })))
}

function scopeOf(names: Readonly<Record<string, AddressSet | 'empty'>>): Scope {
  return { find: name => (Object.hasOwn(names, name) ? names[name] : undefined) }
}

export const web = addresses('10.42.0.11', '10.42.0.12', '10.42.0.13')

export const production = scopeOf({
  'web.shop': web,
  'logger.web.shop': addresses('10.42.0.21'),
  'shop-web-1.shop': addresses('10.42.0.11'),
  'shop-web-1': addresses('10.42.0.11'),
  'idle.shop': addresses(),
  'big.shop': addresses(...Array.from({ length: 200 }, (_, index) => `10.42.7.${index}`)),
  'db.data': addresses('10.42.0.31'),
  shop: 'empty',
  data: 'empty',
  redis: addresses('10.42.0.41'),
})

export const testing = scopeOf({
  'web.shop': addresses('10.42.9.1'),
  'db.data': addresses('10.42.9.9'),
  shop: 'empty',
})

const none = { reverse: () => undefined, kubernetes: undefined }

export const shopClient: MemberView = {
  ...none,
  kind: 'member',
  scope: production,
  environment: 'prod',
  stack: 'shop',
  aliases: new Map([
    ['mysql', addresses('10.42.0.31')],
    ['mysql.data', addresses('10.42.0.31')],
    ['elsewhere', addresses('10.42.9.9')],
  ]),
}

/** A container of the environment that is in no stack. */
export const lonelyClient: MemberView = {
  ...none,
  kind: 'member',
  scope: production,
  environment: 'prod',
  stack: undefined,
  aliases: new Map(),
}

export const testClient: MemberView = {
  ...none,
  kind: 'member',
  scope: testing,
  environment: 'test',
  stack: 'shop',
  aliases: new Map(),
}

export const host: HostView = {
  ...none,
  kind: 'host',
  environment: label => ({ prod: production, test: testing })[label],
}

export const stranger: ClientView = { kind: 'stranger', kubernetes: undefined }

/** One beside whom the agent knows the cluster's services. */
export const podStranger: ClientView = {
  kind: 'stranger',
  kubernetes: { find: name => (name === 'web.default.svc' ? addresses('10.43.0.11') : undefined) },
}

/** A directory whose clients a test can change. */
export class SmallDirectory implements ClientDirectory {
  version = 1
  readonly views = new Map<string, ClientView>()
  #waiting: (() => void)[] = []

  viewOf(address: string): ClientView | undefined {
    return this.views.get(address)
  }

  set(address: string, view: ClientView): void {
    this.views.set(address, view)
    this.version += 1
    for (const resolve of this.#waiting.splice(0)) resolve()
  }

  whenKnown(_address: string, milliseconds: number, signal: AbortSignal): Promise<void> {
    return new Promise(resolve => {
      const timer = setTimeout(resolve, milliseconds)
      signal.addEventListener('abort', () => resolve())
      this.#waiting.push(() => {
        clearTimeout(timer)
        resolve()
      })
    })
  }
}
