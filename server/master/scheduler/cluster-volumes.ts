/** The claims, volumes and storage classes of a cluster, as the scheduler needs them. */
import {
  type ClusterClient,
  type Frozen,
  type KubernetesObject,
  PERSISTENT_VOLUME_CLAIMS,
  PERSISTENT_VOLUMES,
  type PersistentVolume,
  type PersistentVolumeClaim,
  STORAGE_CLASSES,
  type StorageClass,
} from '../apiserver/index.ts'
import type { Volumes } from './volume-demand.ts'

export class ClusterVolumes implements Volumes {
  readonly #classes = new Map<string, Frozen<StorageClass>>()
  readonly #claims = new Map<string, Frozen<PersistentVolumeClaim>>()
  readonly #volumes = new Map<string, Frozen<PersistentVolume>>()
  readonly #onChange: () => void

  readonly hasNode: (name: string) => boolean

  /** @param onChange called when something is there that a pod may have waited for */
  constructor(onChange: () => void, hasNode: (name: string) => boolean) {
    this.#onChange = onChange
    this.hasNode = hasNode
  }

  /** @returns what ends it */
  async observe(client: ClusterClient): Promise<(() => void)[]> {
    const into = <T extends KubernetesObject>(map: Map<string, Frozen<T>>) => {
      const keyOf = ({ metadata }: Frozen<KubernetesObject>) => `${metadata.namespace ?? ''}/${metadata.name}`
      return {
        sync: (objects: readonly Frozen<T>[]) => {
          for (const object of objects) map.set(keyOf(object), object)
        },
        changed: (object: Frozen<T>) => {
          map.set(keyOf(object), object)
          this.#onChange()
        },
        removed: (object: Frozen<T>) => {
          map.delete(keyOf(object))
        },
      }
    }
    return [
      await client.observe(STORAGE_CLASSES, into(this.#classes)),
      await client.observe(PERSISTENT_VOLUMES, into(this.#volumes)),
      await client.observe(PERSISTENT_VOLUME_CLAIMS, into(this.#claims)),
    ]
  }

  claim(namespace: string, name: string): Frozen<PersistentVolumeClaim> | undefined {
    return this.#claims.get(`${namespace}/${name}`)
  }

  storageClass(name: string): Frozen<StorageClass> | undefined {
    return this.#classes.get(`/${name}`)
  }

  volume(name: string): Frozen<PersistentVolume> | undefined {
    return this.#volumes.get(`/${name}`)
  }
}
