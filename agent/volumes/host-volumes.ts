/**
 * Keeps the directories of this host that persistent volumes are made of: makes them, and removes them with their volume
 * when nobody claims it any more and its policy is `Delete`.
 */
import { chmod, mkdir, rm } from 'node:fs/promises'
import path from 'node:path'
import { type Daemon, isDroverError, type Logger, ReconcileLoop, systemErrorCode } from '../../kit/index.ts'
import { HOST_VOLUME } from '../../protocol/index.ts'
import { Informer, type KubernetesClient, type PersistentVolume } from '../../protocol/kubernetes/index.ts'
import { volumeErrors } from './errors.ts'
import { unmountBelow } from './memory.ts'

const VOLUMES = '/api/v1/persistentvolumes'

/** How the server names volumes that it makes for claims. */
const NAME = /^pvc-[\w-]+$/

/** Milliseconds between tries. */
const RETRY = { initial: 500, maximum: 60_000 }

export type DirectoryPlan =
  /** Somebody else's, or on its way out. */
  | { readonly type: 'leave' }
  | { readonly type: 'make'; readonly place: string }
  | { readonly type: 'remove'; readonly place: string }

/**
 * What becomes of a volume's directory.
 *
 * @throws `UnsafePath` when it is not a directory that was made for this volume: what is in it is nobody's to remove
 */
export function planDirectory({ metadata, spec, status }: PersistentVolume): DirectoryPlan {
  const { name, annotations, deletionTimestamp } = metadata
  if (annotations?.[HOST_VOLUME.provisionedBy] !== HOST_VOLUME.provisioner || deletionTimestamp !== undefined)
    return { type: 'leave' }
  const place = spec?.hostPath?.path ?? ''
  const ours =
    NAME.test(name) &&
    path.isAbsolute(place) &&
    path.normalize(place) === place &&
    path.basename(place) === name
  if (!ours) {
    throw volumeErrors.UnsafePath({
      object: `volume ${name}`,
      message: `its directory is ${JSON.stringify(place)}`,
      expected: 'an absolute path that ends with the name of the volume',
    })
  }
  if (status?.phase !== 'Released') return { type: 'make', place }
  return spec?.persistentVolumeReclaimPolicy === 'Delete' ? { type: 'remove', place } : { type: 'leave' }
}

/** @returns whether it was not there */
async function makeDirectory(place: string): Promise<boolean> {
  await mkdir(path.dirname(place), { recursive: true, mode: 0o711 })
  try {
    await mkdir(place)
  } catch (error) {
    if (systemErrorCode(error) === 'EEXIST') return false
    throw error
  }
  // Whatever user a pod runs as; past the umask.
  await chmod(place, 0o777)
  return true
}

export interface HostVolumesOptions {
  readonly client: KubernetesClient
  readonly nodeName: string
  readonly log: Logger
}

export class HostVolumes implements Daemon {
  readonly name = 'host volumes'
  readonly #options: HostVolumesOptions
  readonly #informer: Informer<PersistentVolume>
  readonly #loop: ReconcileLoop

  constructor(options: HostVolumesOptions) {
    this.#options = options
    const { client, nodeName, log } = options
    this.#loop = new ReconcileLoop({
      name: 'host volumes',
      log,
      // Much data takes long to remove.
      deadline: 600_000,
      backoff: RETRY,
      reconcile: name => this.#reconcile(name),
    })
    this.#informer = new Informer<PersistentVolume>({
      client,
      path: VOLUMES,
      query: { labelSelector: `${HOST_VOLUME.host}=${nodeName}` },
      log,
      onChange: volume => {
        if (volume !== undefined) this.#loop.kick(volume.metadata.name)
      },
    })
  }

  async start(): Promise<void> {
    this.#loop.start()
    await this.#informer.start()
  }

  async stop(): Promise<void> {
    await this.#informer.stop()
    await this.#loop.stop()
  }

  async #reconcile(name: string): Promise<undefined> {
    const volume = this.#informer.get('', name)
    if (volume === undefined) return
    const { log } = this.#options
    const plan = planDirectory(volume)
    if (plan.type === 'make' && (await makeDirectory(plan.place)))
      log.info({ volume: name, place: plan.place }, 'made the directory of a volume')
    if (plan.type === 'remove') {
      await unmountBelow(plan.place)
      await rm(plan.place, { recursive: true, force: true })
      await this.#forget(volume)
      log.info({ volume: name, place: plan.place }, 'removed a volume that nobody claims any more')
    }
  }

  async #forget({ metadata: { name, uid } }: PersistentVolume): Promise<void> {
    try {
      await this.#options.client.delete(`${VOLUMES}/${name}`, { preconditions: { uid } })
    } catch (error) {
      // Somebody else was faster.
      if (!isDroverError(error, 'NotFound') && !isDroverError(error, 'Conflict')) throw error
    }
  }
}
