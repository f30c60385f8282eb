/** Finds what an object belongs to, and converts it; decides which objects metadata shows at all. */
import { certificateNames, LABEL, type MetadataObject } from '../../protocol/index.ts'
import type { Cluster, Container, Model, ModelObject, ObjectOfKind } from '../model/index.ts'
import {
  type ContainerRelations,
  environmentInfo,
  hostInfo,
  instanceInfo,
  networkInfo,
  serviceInfo,
  stackInfo,
} from './converters.ts'

/** The kinds of constructs that metadata shows. */
const SHOWN_KINDS = ['project', 'network', 'host', 'stack', 'service', 'container'] as const

export type ShownKind = (typeof SHOWN_KINDS)[number]

export function isShownKind(kind: string): kind is ShownKind {
  return (SHOWN_KINDS as readonly string[]).includes(kind)
}

/** The objects of a cluster that may be shown, in no order that matters. */
export function shownObjects(model: Model, clusterId: string): { kind: ShownKind; id: string }[] {
  const of = (kind: ShownKind, objects: readonly ModelObject[]) => objects.map(({ id }) => ({ kind, id }))
  const projects = model.projects.where('cluster', clusterId)
  return [
    ...of('project', projects),
    ...of('network', model.networks.where('cluster', clusterId)),
    ...of('host', model.hosts.where('cluster', clusterId)),
    ...projects.flatMap(({ id }) => [
      ...of('stack', model.stacks.where('project', id)),
      ...of('service', model.services.where('project', id)),
      ...of('container', model.containers.where('project', id)),
    ]),
  ]
}

export class Conversion {
  readonly #model: Model
  readonly #serviceToken: (serviceUuid: string) => string

  constructor(model: Model, serviceToken: (serviceUuid: string) => string) {
    this.#model = model
    this.#serviceToken = serviceToken
  }

  /** The object as metadata shows it now; undefined when it does not, or not yet: what it belongs to is missing. */
  convert(kind: ShownKind, id: string): MetadataObject | undefined {
    switch (kind) {
      case 'project': {
        const project = this.#model.projects.get(id)
        return project && environmentInfo(project)
      }
      case 'network': {
        const network = this.#model.networks.get(id)
        const owner = this.#ownerOf(network)
        return network && owner ? networkInfo(network, owner) : undefined
      }
      case 'host': {
        const host = this.#model.hosts.get(id)
        const owner = this.#ownerOf(host)
        const blocks = this.#model.addressBlocks.where('host', id).map(({ name }) => name)
        return host && owner ? hostInfo(host, owner, blocks) : undefined
      }
      case 'stack': {
        const stack = this.#model.stacks.get(id)
        const environment = this.#environmentOf(stack)
        return stack && environment ? stackInfo(stack, environment) : undefined
      }
      case 'service':
        return this.#service(this.#model.services.get(id))
      case 'container':
        return this.#container(this.#model.containers.get(id))
    }
  }

  #service(service: ObjectOfKind['service'] | undefined): MetadataObject | undefined {
    const environment = this.#environmentOf(service)
    if (service === undefined || environment === undefined) return undefined
    const stack = this.#model.stacks.get(service.stackId)
    const certificates = (service.lbConfig === undefined ? [] : certificateNames(service.lbConfig)).flatMap(
      name => this.#model.certificates.find('name', `${service.accountId}/${name}`) ?? [],
    )
    return (
      stack && serviceInfo(service, environment, stack.uuid, this.#serviceToken(service.uuid), certificates)
    )
  }

  #container(container: Container | undefined): MetadataObject | undefined {
    const environmentUuid = this.#environmentOf(container)
    if (container === undefined || environmentUuid === undefined) return undefined
    if (container.hidden || container.state === 'removing') return undefined
    const { hosts, stacks, services, deploymentUnits } = this.#model
    const relations: ContainerRelations = {
      environmentUuid,
      host: hosts.get(container.hostId ?? ''),
      stackUuid: stacks.get(container.stackId ?? '')?.uuid,
      service: services.get(container.serviceId ?? ''),
      deploymentUnitUuid: deploymentUnits.get(container.deploymentUnitId ?? '')?.uuid,
      networkUuid: this.#networkOf(container),
      networkFromContainerUuid: this.#networkParentOf(container),
    }
    return instanceInfo(container, relations)
  }

  /** uuid of the environment that owns what belongs to the whole cluster. */
  #ownerOf(object: { readonly clusterId: string } | undefined): string | undefined {
    const cluster: Cluster | undefined = this.#model.clusters.get(object?.clusterId ?? '')
    return this.#model.projects.get(cluster?.systemProjectId ?? '')?.uuid
  }

  #environmentOf(object: { readonly accountId: string } | undefined): string | undefined {
    return this.#model.projects.get(object?.accountId ?? '')?.uuid
  }

  #networkOf({ networkMode, labels, clusterId }: Container): string | undefined {
    const managed = networkMode === 'managed' || labels[LABEL.containerNetwork] === 'true'
    if (!managed) return undefined
    return this.#model.networks.get(this.#model.clusters.get(clusterId)?.defaultNetworkId ?? '')?.uuid
  }

  /** Docker writes the id of the container whose network another one shares into its network mode. */
  #networkParentOf({ networkMode, clusterId }: Container): string | undefined {
    const [, externalId] = /^container:([0-9a-f]{64})$/.exec(networkMode) ?? []
    if (externalId === undefined) return undefined
    const parent = this.#model.containers.find('externalId', externalId)
    return parent?.clusterId === clusterId ? parent.uuid : undefined
  }
}
