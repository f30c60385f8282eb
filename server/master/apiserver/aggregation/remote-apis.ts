/**
 * The versions of groups that servers inside of one cluster serve, as its APIServices say. A cluster that has none pays for
 * one look at each of its APIServices.
 */
import type { ChangeEvent, StoredObject } from '../../../store/index.ts'
import type { Backend } from '../backends/index.ts'
import type { Frozen } from '../json.ts'
import type { ApiService, KubernetesObject } from '../objects.ts'
import { API_SERVICES_KIND, backendOf, isAvailable } from './api-service.ts'
import { RemoteDocuments } from './remote-documents.ts'

export interface RemoteApi {
  readonly group: string
  readonly version: string
  readonly backend: Backend
  readonly groupPriority: number
  readonly versionPriority: number
  /** Whether it answered when it was asked last. */
  readonly available: boolean
  /** What it says of itself. */
  readonly documents: RemoteDocuments
}

export interface RemoteApisOptions {
  list(kind: string, namespace: undefined): readonly StoredObject[]
  read(stored: StoredObject): Frozen<KubernetesObject>
}

const PATH = /^\/apis\/([^/]+)\/([^/]+)(?:\/|$)/

/** Nearly all are served here: most need not be parsed. */
function mayBeRemote({ json }: StoredObject): boolean {
  return json.includes('"service"')
}

export class RemoteApis {
  readonly #read: RemoteApisOptions['read']
  readonly #isOwn: (group: string, version: string) => boolean
  /** By the names of their objects. */
  readonly #known = new Map<string, RemoteApi>()

  /** @param isOwn whether this server itself must serve a version of a group */
  constructor(options: RemoteApisOptions, isOwn: (group: string, version: string) => boolean) {
    this.#read = stored => options.read(stored)
    this.#isOwn = isOwn
    for (const stored of options.list(API_SERVICES_KIND, undefined)) this.#take(stored)
  }

  get size(): number {
    return this.#known.size
  }

  all(): readonly RemoteApi[] {
    return [...this.#known.values()]
  }

  /** Who serves a path; undefined when it is this server's. */
  at(path: string): RemoteApi | undefined {
    if (this.#known.size === 0) return undefined
    const [, group = '', version = ''] = PATH.exec(path) ?? []
    return this.find(group, version)
  }

  find(group: string, version: string): RemoteApi | undefined {
    return this.#known.get(`${version}.${group}`)
  }

  /** Takes a change of an APIService. */
  receive(event: ChangeEvent): void {
    if (event.type === 'deleted') this.#known.delete(event.previous.key.name)
    else this.#take(event.object)
  }

  #take(stored: StoredObject): void {
    const { name } = stored.key
    const before = this.#known.get(name)
    this.#known.delete(name)
    if (!mayBeRemote(stored)) return
    const service = this.#read(stored) as Frozen<ApiService>
    const backend = backendOf(service)
    const { group = '', version, groupPriorityMinimum, versionPriority } = service.spec
    if (backend === undefined || this.#isOwn(group, version)) return
    const isSame = JSON.stringify(before?.backend) === JSON.stringify(backend)
    this.#known.set(name, {
      group,
      version,
      backend,
      groupPriority: groupPriorityMinimum,
      versionPriority,
      available: isAvailable(service),
      documents: (isSame ? before?.documents : undefined) ?? new RemoteDocuments(),
    })
  }
}
