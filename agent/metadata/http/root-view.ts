/** The top of what a requester sees: its environment, or for the host the whole cluster; and itself. */
import type { EnvironmentInfo, InstanceInfo } from '../../../protocol/index.ts'
import { EVERY } from '../model/index.ts'
import type { Requester } from '../requesters/index.ts'
import {
  containerFinder,
  containerList,
  environmentView,
  hostView,
  networkView,
  serviceList,
  serviceView,
  stackList,
  stackView,
  type ViewContext,
} from './object-views.ts'
import { LazyMap, ObjectList, type PlainMap, type ViewValue } from './view-value.ts'

export type KnownRequester = Exclude<Requester, { kind: 'unknown' }>

export interface RootContext extends ViewContext {
  readonly requester: KnownRequester
  /** The host that is asked; undefined before that is known. */
  readonly hostUuid: string | undefined
  /** The number that is shown as `version`; it is read only when it is asked for. */
  readonly dataVersion: () => string
}

/** Parts that exist: what a container does not have, its `self` does not list. */
function existing(parts: Record<string, (() => ViewValue) | undefined>): Record<string, () => ViewValue> {
  return Object.fromEntries(
    Object.entries(parts).filter((entry): entry is [string, () => ViewValue] => entry[1] !== undefined),
  )
}

function hostSelf({ reader, hostUuid, version }: RootContext): LazyMap {
  const host = reader.get('host', hostUuid)
  return new LazyMap({}, existing({ host: host && (() => hostView(host, version)) }))
}

/** The only place where a service's token is shown. */
function containerSelf(instance: InstanceInfo, context: RootContext): LazyMap {
  const { reader, version, containers } = context
  const environment = reader.get('environment', instance.environmentUuid)
  const host = reader.get('host', instance.hostUuid)
  const network = reader.get('network', instance.networkUuid)
  const service = reader.get('service', instance.serviceUuid)
  const stack = reader.get('stack', instance.stackUuid)
  return new LazyMap(
    {},
    existing({
      container: () => containers.show(instance, reader, version),
      environment: environment && (() => environmentView(environment)),
      host: host && (() => hostView(host, version)),
      network: network && (() => networkView(network)),
      service: service && (() => serviceView(service, context, service.token)),
      stack: stack && (() => stackView(stack, context)),
    }),
  )
}

/** Hosts and networks are the cluster's: every environment uses them. */
function sharedParts({ reader, version }: RootContext): Record<string, () => ViewValue> {
  return {
    hosts: () =>
      ObjectList.of(reader.sequence('host', 'every', EVERY), { show: host => hostView(host, version) }),
    networks: () => ObjectList.of(reader.sequence('network', 'every', EVERY), { show: networkView }),
  }
}

function rootFields(environment: EnvironmentInfo | undefined): PlainMap {
  return {
    name: environment?.name ?? null,
    uuid: environment?.uuid ?? null,
    external_id: environment?.externalId ?? null,
    system: environment?.system ?? null,
  }
}

function clusterRoot(context: RootContext): LazyMap {
  const { reader, dataVersion } = context
  const environment = reader.list('environment', 'system', 'true')[0]
  return new LazyMap(rootFields(environment), {
    containers: () => containerList(reader.sequence('instance', 'every', EVERY), context),
    services: () => serviceList(reader.sequence('service', 'every', EVERY), context),
    stacks: () => stackList(reader.sequence('stack', 'every', EVERY), context),
    ...sharedParts(context),
    ...existing({ environment: environment && (() => environmentView(environment)) }),
    self: () => hostSelf(context),
    version: dataVersion,
  })
}

function environmentRoot(instance: InstanceInfo, context: RootContext): LazyMap {
  const { reader, dataVersion } = context
  const { environmentUuid } = instance
  const environment = reader.get('environment', environmentUuid)
  return new LazyMap(rootFields(environment), {
    containers: () =>
      containerList(
        reader.sequence('instance', 'environment', environmentUuid),
        context,
        containerFinder(reader, environmentUuid),
      ),
    services: () => serviceList(reader.sequence('service', 'environment', environmentUuid), context),
    stacks: () => stackList(reader.sequence('stack', 'environment', environmentUuid), context),
    ...sharedParts(context),
    ...existing({ environment: environment && (() => environmentView(environment)) }),
    self: () => containerSelf(instance, context),
    version: dataVersion,
  })
}

/** What is below a version. */
export function rootView(context: RootContext): LazyMap {
  const { requester } = context
  return requester.kind === 'host' ? clusterRoot(context) : environmentRoot(requester.instance, context)
}
