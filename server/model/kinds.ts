/** Per kind: the letters of its ids, where it is stored, and the questions that are asked often. */
import type { ModelKind, ObjectOfKind } from './objects.ts'

/** Values under which an object is found; undefined leaves it out. */
type IndexFunction<T> = (object: T) => string | undefined

export interface KindDefinition<T> {
  /** Letters of its ids, after the cattle's `1`. */
  readonly letters: string
  /** The namespace it is stored under: what lists are usually limited to. */
  readonly scope: (object: T) => string
  readonly indexes: Readonly<Record<string, IndexFunction<T>>>
}

const everywhere = () => ''

export const kinds = {
  cluster: { letters: 'c', scope: everywhere, indexes: { name: cluster => cluster.name } },
  project: {
    letters: 'a',
    scope: project => project.clusterId,
    indexes: {
      cluster: project => project.clusterId,
      namespace: project => `${project.clusterId}/${project.externalId}`,
    },
  },
  host: {
    letters: 'h',
    scope: host => host.clusterId,
    indexes: {
      cluster: host => host.clusterId,
      keyHash: host => host.keyHash,
      uuid: host => host.uuid,
      node: host => `${host.clusterId}/${host.nodeName}`,
    },
  },
  apiKey: {
    letters: 'c',
    scope: everywhere,
    indexes: {
      publicValue: key => key.publicValue,
      host: key => (key.role.kind === 'agent' ? key.role.hostId : undefined),
    },
  },
  registrationToken: {
    letters: 'c',
    scope: token => token.clusterId,
    indexes: { cluster: token => token.clusterId, publicValue: token => token.publicValue },
  },
  stack: {
    letters: 'st',
    scope: stack => stack.accountId,
    indexes: { project: stack => stack.accountId, name: stack => `${stack.accountId}/${stack.name}` },
  },
  service: {
    letters: 's',
    scope: service => service.accountId,
    indexes: {
      project: service => service.accountId,
      stack: service => service.stackId,
      uuid: service => service.uuid,
      name: service => `${service.stackId}/${service.name}`,
    },
  },
  deploymentUnit: {
    letters: 'du',
    scope: unit => unit.accountId,
    indexes: { service: unit => unit.serviceId, uuid: unit => unit.uuid },
  },
  container: {
    letters: 'i',
    scope: container => container.accountId,
    indexes: {
      project: container => container.accountId,
      unit: container => container.deploymentUnitId,
      service: container => container.serviceId,
      stack: container => container.stackId,
      host: container => container.hostId,
      uuid: container => container.uuid,
      identity: container => container.identity,
      externalId: container => container.externalId,
    },
  },
  network: {
    letters: 'n',
    scope: network => network.clusterId,
    indexes: { cluster: network => network.clusterId },
  },
  certificate: {
    letters: 'cert',
    scope: certificate => certificate.accountId,
    indexes: {
      project: certificate => certificate.accountId,
      name: certificate => `${certificate.accountId}/${certificate.name}`,
    },
  },
  addressBlock: {
    letters: 'ab',
    scope: block => block.clusterId,
    indexes: { host: block => block.hostId, name: block => `${block.clusterId}/${block.name}` },
  },
} as const satisfies { readonly [Kind in ModelKind]: KindDefinition<ObjectOfKind[Kind]> }

export type IndexName<Kind extends ModelKind> = keyof (typeof kinds)[Kind]['indexes'] & string
