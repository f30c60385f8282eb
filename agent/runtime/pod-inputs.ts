/** The objects that a pod refers to, as they were read last. */
import type {
  ConfigMap,
  KubernetesObject,
  PersistentVolume,
  PersistentVolumeClaim,
  Pod,
  ReferencedKind,
  Secret,
} from '../../protocol/kubernetes/index.ts'
import { runtimeErrors } from './errors.ts'

export type InputKind = ReferencedKind | 'persistentvolumes'

/** In words of people: as Kubernetes says it in messages. */
const SINGULAR: Readonly<Record<InputKind, string>> = {
  configmaps: 'configmap',
  secrets: 'secret',
  persistentvolumeclaims: 'persistentvolumeclaim',
  persistentvolumes: 'persistentvolume',
}

export class PodInputs {
  readonly #pod: Pod
  readonly #objects: ReadonlyMap<string, KubernetesObject>

  /** @param objects by `inputKey`; what is not there does not exist */
  constructor(pod: Pod, objects: ReadonlyMap<string, KubernetesObject>) {
    this.#pod = pod
    this.#objects = objects
  }

  /** @throws `MissingInput` when it must be there and is not */
  configMap(name: string, optional: boolean): ConfigMap | undefined {
    return this.#get('configmaps', name, optional)
  }

  /** @throws `MissingInput` */
  secret(name: string, optional: boolean): Secret | undefined {
    return this.#get('secrets', name, optional)
  }

  /** Where the data of a claim is. @throws `MissingInput` while it is not bound to a volume that is a directory of this host */
  claim(name: string): { readonly path: string; readonly type?: string } {
    const claim = this.#get<PersistentVolumeClaim>('persistentvolumeclaims', name, false)
    const volumeName = claim?.spec?.volumeName ?? ''
    if (volumeName === '' || claim?.status?.phase !== 'Bound') {
      throw runtimeErrors.MissingInput({
        object: `pod ${this.#pod.metadata.name}`,
        message: `persistentvolumeclaim "${name}" is not bound`,
      })
    }
    const volume = this.#get<PersistentVolume>('persistentvolumes', volumeName, false)
    const place = volume?.spec?.hostPath ?? volume?.spec?.local
    if (place !== undefined) return place
    throw runtimeErrors.InvalidPod({
      object: `pod ${this.#pod.metadata.name}`,
      message: `persistentvolume "${volumeName}" is of a type that this version does not mount`,
    })
  }

  #get<T extends KubernetesObject>(kind: InputKind, name: string, optional: boolean): T | undefined {
    const found = this.#objects.get(inputKey(kind, name)) as T | undefined
    if (found !== undefined || optional) return found
    throw runtimeErrors.MissingInput({
      object: `pod ${this.#pod.metadata.name}`,
      message: `${SINGULAR[kind]} "${name}" not found`,
    })
  }
}

export function inputKey(kind: InputKind, name: string): string {
  return `${kind}/${name}`
}
