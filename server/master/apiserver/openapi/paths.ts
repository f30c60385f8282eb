/** Paths and operations of resources, as Kubernetes documents them. */
import type { GroupVersionKind, Resource, Subresource } from '../catalog/index.ts'
import type { ObjectSchema } from '../schema/index.ts'
import { operationId, tagOf } from './operation-names.ts'
import { type Parameter, parametersOf, QUERY, STREAM_QUERY } from './parameters.ts'

type Method = 'get' | 'post' | 'put' | 'patch' | 'delete' | 'head' | 'options'

export interface Operation {
  readonly path: string
  readonly method: Method
  /** Absent for what is about no objects. */
  readonly action?: string
  readonly kind?: GroupVersionKind
  readonly operationId: string
  readonly tag: string
  /** What is sent: an object, or any that says how to patch one; absent when nothing is. */
  readonly body?: { readonly schema: ObjectSchema | 'object'; readonly required: boolean }
  /** Absent: nothing is known of it. */
  readonly answer?: ObjectSchema | 'string'
  /** Statuses of success. */
  readonly statuses: readonly number[]
  readonly consumes: readonly string[]
  readonly produces: readonly string[]
  readonly parameters: readonly Parameter[]
}

/** Schemas of the protocol that operations are about. */
export interface ProtocolSchemas {
  readonly status: ObjectSchema
  readonly watchEvent: ObjectSchema
  readonly deleteOptions: ObjectSchema
}

const ANY_MEDIA = ['*/*']
const OBJECT_MEDIA = ['application/json', 'application/yaml']
const WATCH_MEDIA = [...OBJECT_MEDIA, 'application/json;stream=watch']

const PATCH_MEDIA = [
  'application/json-patch+json',
  'application/merge-patch+json',
  'application/strategic-merge-patch+json',
  'application/apply-patch+yaml',
]
/** Nobody knows how lists of custom kinds would be merged; kubectl looks here before it sends such a patch. */
const CUSTOM_PATCH_MEDIA = PATCH_MEDIA.filter(media => !media.includes('strategic'))

interface VerbShape {
  readonly method: Method
  readonly action: string
  /** The beginning of the operation's name. */
  readonly named: string
  readonly query: readonly string[]
  readonly sends?: 'object' | 'patch' | 'options'
  readonly answers: 'object' | 'list' | 'status' | 'deleted'
  readonly statuses: readonly number[]
}

const ITEM_VERBS: Readonly<Record<string, VerbShape>> = {
  get: {
    ...{ method: 'get', action: 'get', named: 'read', query: QUERY.get },
    ...{ answers: 'object', statuses: [200] },
  },
  update: {
    ...{ method: 'put', action: 'put', named: 'replace', query: QUERY.write, sends: 'object' },
    ...{ answers: 'object', statuses: [200, 201] },
  },
  patch: {
    ...{ method: 'patch', action: 'patch', named: 'patch', query: QUERY.patch, sends: 'patch' },
    ...{ answers: 'object', statuses: [200, 201] },
  },
  delete: {
    ...{ method: 'delete', action: 'delete', named: 'delete', query: QUERY.delete, sends: 'options' },
    ...{ answers: 'deleted', statuses: [200, 202] },
  },
}
const COLLECTION_VERBS: Readonly<Record<string, VerbShape>> = {
  list: {
    ...{ method: 'get', action: 'list', named: 'list', query: QUERY.list },
    ...{ answers: 'list', statuses: [200] },
  },
  create: {
    ...{ method: 'post', action: 'post', named: 'create', query: QUERY.write, sends: 'object' },
    ...{ answers: 'object', statuses: [200, 201, 202] },
  },
  deletecollection: {
    ...{ method: 'delete', action: 'deletecollection', named: 'deleteCollection' },
    ...{ query: QUERY.deleteCollection, sends: 'options', answers: 'status', statuses: [200] },
  },
}

/** Methods by which streams of a subresource are opened, by its verbs. */
const STREAM_METHODS: Readonly<Record<string, readonly Method[]>> = {
  get: ['get', 'head', 'options'],
  create: ['post'],
  update: ['put'],
  patch: ['patch'],
  delete: ['delete'],
}

/** The path of a group version. */
export function groupVersionPath({
  group,
  version,
}: {
  readonly group: string
  readonly version: string
}): string {
  return group === '' ? `/api/${version}` : `/apis/${group}/${version}`
}

/** What operations at a path are about. */
interface Place {
  readonly path: string
  readonly resource: Resource
  readonly subresource?: Subresource
  readonly everywhere?: boolean
}

class ResourcePaths {
  readonly #resource: Resource
  readonly #protocol: ProtocolSchemas

  constructor(resource: Resource, protocol: ProtocolSchemas) {
    this.#resource = resource
    this.#protocol = protocol
  }

  operations(): Operation[] {
    const resource = this.#resource
    const root = groupVersionPath(resource)
    const inside = `${resource.namespaced ? 'namespaces/{namespace}/' : ''}${resource.resource}`
    const collection = `${root}/${inside}`
    const everywhere = `${root}/${resource.resource}`
    const { verbs } = resource
    return [
      ...this.#at({ path: collection, resource }, COLLECTION_VERBS, verbs),
      ...this.#at({ path: `${collection}/{name}`, resource }, ITEM_VERBS, verbs),
      ...(resource.namespaced
        ? this.#at({ path: everywhere, resource, everywhere: true }, COLLECTION_VERBS, this.#listVerbs())
        : []),
      ...(verbs.includes('watch') ? this.#watches(root, inside) : []),
      ...[...resource.subresources.values()].flatMap(subresource =>
        this.#subresource(`${collection}/{name}/${subresource.name}`, subresource),
      ),
    ]
  }

  #listVerbs(): readonly string[] {
    return this.#resource.verbs.filter(verb => verb === 'list')
  }

  #at(place: Place, shapes: Readonly<Record<string, VerbShape>>, verbs: readonly string[]): Operation[] {
    return verbs.flatMap(verb => {
      const shape = shapes[verb]
      return shape === undefined ? [] : [this.#operation(place, shape)]
    })
  }

  #operation({ path, resource, subresource, everywhere = false }: Place, shape: VerbShape): Operation {
    const { group, version, namespaced } = resource
    const schema = subresource?.schema ?? resource.schema
    const { kind = resource } = subresource ?? {}
    const list = shape.answers === 'list'
    return {
      ...{ path, method: shape.method, action: shape.action },
      kind: { group: kind.group, version: kind.version, kind: kind.kind },
      operationId: operationId({
        ...{ verb: shape.named, group, version, kind: resource.kind, namespaced, everywhere },
        ...(subresource === undefined ? {} : { subresource: subresource.name }),
      }),
      tag: tagOf(group, version),
      ...this.#body(shape, schema),
      answer: this.#answer(shape, schema),
      statuses: shape.statuses,
      consumes: shape.sends === 'patch' ? this.#patchMedia() : ANY_MEDIA,
      produces: list ? WATCH_MEDIA : OBJECT_MEDIA,
      parameters: parametersOf(path, shape.query),
    }
  }

  #body({ sends }: VerbShape, schema: ObjectSchema): Pick<Operation, 'body'> {
    if (sends === undefined) return {}
    if (sends === 'patch') return { body: { schema: 'object', required: true } }
    if (sends === 'options') return { body: { schema: this.#protocol.deleteOptions, required: false } }
    return { body: { schema, required: true } }
  }

  #answer({ answers }: VerbShape, schema: ObjectSchema): ObjectSchema {
    const { listSchema, showsDeleted } = this.#resource
    switch (answers) {
      case 'object':
        return schema
      case 'list':
        return listSchema ?? schema
      case 'status':
        return this.#protocol.status
      case 'deleted':
        return showsDeleted ? schema : this.#protocol.status
    }
  }

  #patchMedia(): readonly string[] {
    return this.#resource.custom === undefined ? PATCH_MEDIA : CUSTOM_PATCH_MEDIA
  }

  /** By the paths that watches had once. */
  #watches(root: string, inside: string): Operation[] {
    const { group, version, kind, namespaced, resource } = this.#resource
    const places = [
      { path: `${root}/watch/${inside}`, verb: 'watchList', action: 'watchlist', everywhere: false },
      { path: `${root}/watch/${inside}/{name}`, verb: 'watch', action: 'watch', everywhere: false },
      ...(namespaced
        ? [{ path: `${root}/watch/${resource}`, verb: 'watchList', action: 'watchlist', everywhere: true }]
        : []),
    ]
    return places.map(({ path, verb, action, everywhere }) => ({
      ...{ path, method: 'get', action },
      kind: { group, version, kind },
      operationId: operationId({ verb, group, version, kind, namespaced, everywhere }),
      tag: tagOf(group, version),
      answer: this.#protocol.watchEvent,
      ...{ statuses: [200], consumes: ANY_MEDIA, produces: WATCH_MEDIA },
      parameters: parametersOf(path, QUERY.list),
    }))
  }

  #subresource(path: string, subresource: Subresource): Operation[] {
    const { name, verbs, schema } = subresource
    if (schema === undefined) return this.#streams(path, subresource)
    // Creating a subresource is a POST to the object.
    const shapes = { ...ITEM_VERBS, create: COLLECTION_VERBS.create as VerbShape }
    const place: Place = { path, resource: this.#resource, subresource }
    return name === 'log' ? this.#streams(path, subresource) : this.#at(place, shapes, verbs)
  }

  /** What is no object: a log, or a connection to something behind the server. */
  #streams(path: string, subresource: Subresource): Operation[] {
    const { name, verbs, kind } = subresource
    const proxy = name === 'proxy'
    const methods = verbs.flatMap(verb => STREAM_METHODS[verb] ?? [])
    const paths = proxy ? [path, `${path}/{path}`] : [path]
    return paths.flatMap(each =>
      methods
        .filter(method => proxy || method === 'get' || (method === 'post' && name !== 'log'))
        .map(method => this.#stream(each, method, name, kind)),
    )
  }

  #stream(path: string, method: Method, name: string, kind: GroupVersionKind): Operation {
    const { group, version, namespaced, kind: parent } = this.#resource
    const connects = name !== 'log'
    const verb = connects ? `connect${method.charAt(0).toUpperCase()}${method.slice(1)}` : 'read'
    const named = { verb, group, version, kind: parent, namespaced, subresource: name }
    return {
      ...{ path, method, action: connects ? 'connect' : 'get' },
      kind: connects ? kind : { group, version, kind: parent },
      operationId: operationId(named) + (path.endsWith('{path}') ? 'WithPath' : ''),
      tag: tagOf(group, version),
      ...{ answer: 'string', statuses: [200], consumes: ANY_MEDIA },
      produces: connects ? ANY_MEDIA : ['text/plain', ...OBJECT_MEDIA],
      parameters: parametersOf(path, STREAM_QUERY[name] ?? []),
    }
  }
}

/** Every operation on a resource. */
export function operationsOf(resource: Resource, protocol: ProtocolSchemas): Operation[] {
  return new ResourcePaths(resource, protocol).operations()
}
