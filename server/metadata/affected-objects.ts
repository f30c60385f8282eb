/** Which objects of the metadata model one change of a construct may alter. */
import { isDeepStrictEqual } from 'node:util'
import { certificateNames } from '../../protocol/index.ts'
import type {
  AddressBlock,
  Certificate,
  Cluster,
  Container,
  Host,
  Model,
  ModelObject,
  Service,
} from '../model/index.ts'
import type { ChangeEvent } from '../store/index.ts'
import { isShownKind, type ShownKind } from './convert.ts'

export interface AffectedObject {
  readonly kind: ShownKind
  readonly id: string
  readonly uuid: string
}

/** What a change may alter, all of it in one cluster. */
export interface Affected {
  readonly clusterId: string
  readonly objects: readonly AffectedObject[]
}

type Stored = ModelObject & { readonly clusterId: string }

/** The object before and after; the first is absent when it was just made, the second when it is gone. */
interface Versions<T> {
  readonly before: T | undefined
  readonly after: T | undefined
}

function versionsOf<T>(event: ChangeEvent): Versions<T> {
  return {
    before: event.type === 'created' ? undefined : (JSON.parse(event.previous.json) as T),
    after: event.type === 'deleted' ? undefined : (JSON.parse(event.object.json) as T),
  }
}

function differs<T, Key extends keyof T>({ before, after }: Versions<T>, ...keys: Key[]): boolean {
  return keys.some(key => !isDeepStrictEqual(before?.[key], after?.[key]))
}

const asAffected =
  (kind: ShownKind) =>
  ({ id, uuid }: ModelObject): AffectedObject => ({ kind, id, uuid })

/** Other objects that show something of the one that changed, or cannot be shown without it. */
function dependents(model: Model, kind: ShownKind, versions: Versions<Stored>): AffectedObject[] {
  const id = (versions.after ?? versions.before)?.id ?? ''
  const comesOrGoes = versions.before === undefined || versions.after === undefined
  switch (kind) {
    case 'project':
      return comesOrGoes ? contentsOf(model, id) : []
    case 'host':
      return differs(versions as Versions<Host>, 'agentIpAddress')
        ? model.containers.where('host', id).map(asAffected('container'))
        : []
    case 'stack':
      return comesOrGoes
        ? [
            ...model.services.where('stack', id).map(asAffected('service')),
            ...model.containers.where('stack', id).map(asAffected('container')),
          ]
        : []
    case 'service':
      return differs(versions as Versions<Service>, 'launchConfig', 'secondaryLaunchConfigs')
        ? model.containers.where('service', id).map(asAffected('container'))
        : []
    case 'container':
      return containersSharingNetwork(model, versions as Versions<Container>).map(asAffected('container'))
    case 'network':
      return []
  }
}

function contentsOf(model: Model, projectId: string): AffectedObject[] {
  return [
    ...model.stacks.where('project', projectId).map(asAffected('stack')),
    ...model.services.where('project', projectId).map(asAffected('service')),
    ...model.containers.where('project', projectId).map(asAffected('container')),
  ]
}

function containersSharingNetwork(model: Model, versions: Versions<Container>): readonly Container[] {
  const container = versions.after ?? versions.before
  if (container?.externalId === undefined || !differs(versions, 'externalId')) return []
  const networkMode = `container:${container.externalId}`
  return model.containers
    .where('host', container.hostId ?? '')
    .filter(other => other.networkMode === networkMode)
}

/** A cluster that has just got its own environment or network: what belongs to it could not be shown before. */
function affectedByCluster(model: Model, versions: Versions<Cluster>): Affected | undefined {
  const cluster = versions.after
  if (cluster === undefined || !differs(versions, 'systemProjectId', 'defaultNetworkId')) return undefined
  const containers = model.projects
    .where('cluster', cluster.id)
    .flatMap(({ id }) => model.containers.where('project', id))
  return {
    clusterId: cluster.id,
    objects: [
      ...model.hosts.where('cluster', cluster.id).map(asAffected('host')),
      ...model.networks.where('cluster', cluster.id).map(asAffected('network')),
      ...containers.map(asAffected('container')),
    ],
  }
}

function affectedByBlock(model: Model, { before, after }: Versions<AddressBlock>): Affected | undefined {
  const host = model.hosts.get((after ?? before)?.hostId ?? '')
  return host && { clusterId: host.clusterId, objects: [asAffected('host')(host)] }
}

/** Balancers show what their certificates say of themselves. */
function affectedByCertificate(model: Model, { before, after }: Versions<Certificate>): Affected | undefined {
  const certificate = after ?? before
  if (certificate === undefined) return undefined
  const services = model.services
    .where('project', certificate.accountId)
    .filter(({ lbConfig }) => lbConfig !== undefined && certificateNames(lbConfig).includes(certificate.name))
  return { clusterId: certificate.clusterId, objects: services.map(asAffected('service')) }
}

/**
 * What `event` may alter: never too little, sometimes too much.
 *
 * @param model shows the event; that it shows more does no harm, because every later change is an event of its own
 */
export function affectedBy(event: ChangeEvent, model: Model): Affected | undefined {
  const { kind } = event.type === 'deleted' ? event.previous.key : event.object.key
  if (kind === 'cluster') return affectedByCluster(model, versionsOf<Cluster>(event))
  if (kind === 'addressBlock') return affectedByBlock(model, versionsOf<AddressBlock>(event))
  if (kind === 'certificate') return affectedByCertificate(model, versionsOf<Certificate>(event))
  if (!isShownKind(kind)) return undefined
  const versions = versionsOf<Stored>(event)
  const object = versions.after ?? versions.before
  if (object === undefined) return undefined
  return {
    clusterId: object.clusterId,
    objects: [asAffected(kind)(object), ...dependents(model, kind, versions)],
  }
}
