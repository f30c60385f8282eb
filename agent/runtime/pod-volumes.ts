/** The volumes of pods on this host: made before containers that mount them, kept up to date, and removed with the pod. */
import { createHash } from 'node:crypto'
import { chmod, lstat, mkdir, rm } from 'node:fs/promises'
import path from 'node:path'
import { isDroverError } from '../../kit/index.ts'
import {
  type Container,
  type Pod,
  parseQuantity,
  type Volume,
  type VolumeMount,
} from '../../protocol/kubernetes/index.ts'
import {
  type ContentFile,
  ensureMemory,
  giveToGroup,
  hasContent,
  type Ownership,
  pinSubPath,
  releaseMemory,
  requireType,
  unmountBelow,
  writeContent,
} from '../volumes/index.ts'
import { expand } from './environment.ts'
import { runtimeErrors } from './errors.ts'
import { type ContentContext, isConfidential, isContent, soleUser, volumeContent } from './volume-content.ts'

export interface PodVolumesOptions {
  /** The directory of a pod on disk. */
  readonly diskOf: (uid: string) => string
  /** A directory that becomes a file system in memory. */
  readonly memory: string
}

/** What a container sees of a volume. */
export interface PlannedMount {
  readonly source: string
  readonly target: string
  readonly readOnly: boolean
  readonly propagation?: 'rslave' | 'rshared'
}

const PROPAGATION = { None: undefined, HostToContainer: 'rslave', Bidirectional: 'rshared' } as const

/** What a group must be allowed in files that are only read (as the kubelet does it). */
const GROUP_READS = 0o440

function digestOf(files: readonly ContentFile[]): string {
  const hash = createHash('sha256')
  for (const { path: file, data, mode } of files)
    hash.update(`${file}\0${mode}\0${data.length}\0`).update(data)
  return hash.digest('hex')
}

/** The owner of files that a pod's containers read. */
function ownershipOf({ spec }: Pod): Ownership {
  const { fsGroup } = spec.securityContext ?? {}
  const user = fsGroup === undefined ? soleUser(spec) : undefined
  return {
    ...(user === undefined ? {} : { user }),
    ...(fsGroup === undefined ? {} : { group: fsGroup }),
  }
}

export class PodVolumes {
  readonly #options: PodVolumesOptions
  /** What each content volume holds: by pod, then by name. */
  readonly #digests = new Map<string, Map<string, string>>()

  constructor(options: PodVolumesOptions) {
    this.#options = options
  }

  /** @throws when there can be no file system in memory */
  async start(): Promise<void> {
    await ensureMemory(this.#options.memory, '0700')
  }

  /** Where what must not be on disk is kept of a pod. */
  memoryOf(uid: string): string {
    return path.join(this.#options.memory, uid)
  }

  /**
   * Sees that the volumes are there and have the content that they should have.
   *
   * @param names those that are wanted; all when absent
   * @throws `MissingInput`, `InvalidPod`, `WrongType`, `UnsafePath`
   */
  async prepare(context: ContentContext, names?: ReadonlySet<string>): Promise<void> {
    for (const volume of context.pod.spec.volumes ?? []) {
      if (names === undefined || names.has(volume.name)) await this.#prepare(volume, context)
    }
  }

  /** The volumes of a pod that have to be looked at from time to time. */
  static changing(pod: Pod): ReadonlySet<string> {
    return new Set((pod.spec.volumes ?? []).filter(isContent).map(({ name }) => name))
  }

  /** What a container mounts, once its volumes are there. @throws `InvalidPod`, `UnsafePath` */
  async mounts(
    container: Container,
    context: ContentContext,
    environment: ReadonlyMap<string, string>,
  ): Promise<PlannedMount[]> {
    const { pod } = context
    const planned: PlannedMount[] = []
    for (const [index, mount] of (container.volumeMounts ?? []).entries()) {
      const volume = pod.spec.volumes?.find(({ name }) => name === mount.name)
      if (volume === undefined) {
        throw runtimeErrors.InvalidPod({
          object: `pod ${pod.metadata.name}`,
          message: `there is no volume ${mount.name}`,
        })
      }
      const whole = this.#placeOf(volume, context)
      const subPath = subPathOf(mount, environment)
      const propagation = PROPAGATION[mount.mountPropagation ?? 'None']
      const pinned = path.join(this.#subPathsOf(pod), container.name, String(index))
      if (subPath !== '') await pinSubPath(whole, subPath, pinned)
      planned.push({
        source: subPath === '' ? whole : pinned,
        target: mount.mountPath,
        readOnly:
          mount.readOnly === true || isContent(volume) || volume.persistentVolumeClaim?.readOnly === true,
        ...(propagation === undefined ? {} : { propagation }),
      })
    }
    return planned
  }

  /** Unmounts and forgets what there is of a pod's volumes; its directory on disk can be removed then. */
  async remove(uid: string): Promise<void> {
    this.#digests.delete(uid)
    await unmountBelow(this.#options.diskOf(uid))
    await releaseMemory(this.memoryOf(uid))
  }

  /** As `remove`; what is in them on disk goes, too. */
  async discard(uid: string): Promise<void> {
    await this.remove(uid)
    await rm(path.join(this.#options.diskOf(uid), 'volumes'), { recursive: true, force: true })
  }

  /** Where parts of volumes are mounted for the containers of a pod. */
  #subPathsOf({ metadata: { uid = '' } }: Pod): string {
    return path.join(this.#options.diskOf(uid), 'sub-paths')
  }

  #placeOf(volume: Volume, { pod, inputs }: ContentContext): string {
    if (volume.hostPath !== undefined) return volume.hostPath.path
    const claim = volume.persistentVolumeClaim
    if (claim !== undefined) return inputs.claim(claim.claimName).path
    const { uid = '' } = pod.metadata
    const root = isConfidential(volume) ? this.memoryOf(uid) : this.#options.diskOf(uid)
    return path.join(root, 'volumes', volume.name)
  }

  async #prepare(volume: Volume, context: ContentContext): Promise<void> {
    const { pod, inputs } = context
    const place = this.#placeOf(volume, context)
    if (volume.hostPath !== undefined) return await requireType(place, volume.hostPath.type ?? '')
    if (volume.persistentVolumeClaim !== undefined) {
      await requireType(place, inputs.claim(volume.persistentVolumeClaim.claimName).type ?? '')
      return await shareWithGroup(place, pod, true)
    }
    if (volume.emptyDir !== undefined) return await this.#prepareEmpty(volume, place, pod)
    if (isContent(volume)) return await this.#write(volume, place, context)
    throw runtimeErrors.InvalidPod({
      object: `pod ${pod.metadata.name}`,
      message: `the volume ${volume.name} is of a type that this version does not mount`,
    })
  }

  async #prepareEmpty({ emptyDir }: Volume, place: string, pod: Pod): Promise<void> {
    await mkdir(path.dirname(place), { recursive: true, mode: 0o700 })
    const there = await lstat(place).catch(() => undefined)
    if (emptyDir?.medium === 'Memory') {
      const size = emptyDir.sizeLimit === undefined ? undefined : parseQuantity(emptyDir.sizeLimit)
      await ensureMemory(place, '0777', size)
    } else if (there === undefined) {
      await mkdir(place)
      // Past the umask.
      await chmod(place, 0o777)
    }
    if (there === undefined) await shareWithGroup(place, pod, false)
  }

  /** @returns undefined when what is there has to do: there is no token, and it has one */
  async #contentOf(
    volume: Volume,
    place: string,
    context: ContentContext,
  ): Promise<readonly ContentFile[] | undefined> {
    try {
      return volumeContent(volume, context)
    } catch (error) {
      const kept = isDroverError(error, runtimeErrors.MissingToken().code) && (await hasContent(place))
      if (kept) return undefined
      throw error
    }
  }

  async #write(volume: Volume, place: string, context: ContentContext): Promise<void> {
    const { pod } = context
    const { uid = '' } = pod.metadata
    const group = pod.spec.securityContext?.fsGroup
    const content = await this.#contentOf(volume, place, context)
    if (content === undefined) return
    const files = content.map(file =>
      group === undefined ? file : { ...file, mode: file.mode | GROUP_READS },
    )
    const digests = this.#digests.get(uid) ?? new Map<string, string>()
    this.#digests.set(uid, digests)
    const digest = digestOf(files)
    if (digests.get(volume.name) === digest) return
    await mkdir(path.dirname(place), { recursive: true, mode: 0o700 })
    await writeContent(place, files, ownershipOf(pod))
    digests.set(volume.name, digest)
  }
}

function subPathOf({ subPath, subPathExpr }: VolumeMount, environment: ReadonlyMap<string, string>): string {
  return subPathExpr === undefined || subPathExpr === '' ? (subPath ?? '') : expand(subPathExpr, environment)
}

/** @param deep what is in the volume, too */
async function shareWithGroup(place: string, { spec }: Pod, deep: boolean): Promise<void> {
  const { fsGroup, fsGroupChangePolicy } = spec.securityContext ?? {}
  if (fsGroup === undefined) return
  await giveToGroup(place, fsGroup, { deep, onlyOnMismatch: fsGroupChangePolicy === 'OnRootMismatch' })
}
