/** Makes the containers of pods: brings together what they refer to, their volumes, their image and their environment. */
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { explainError, isDroverError } from '../../kit/index.ts'
import { type Container, kubernetesErrors, type Pod, type Secret } from '../../protocol/kubernetes/index.ts'
import type { DockerEngine, RegistryLogin } from '../docker/index.ts'
import type { AccountTokens } from './account-tokens.ts'
import { containerOptions, hostsFileText, type PodPlace } from './container-options.ts'
import type { PodFacts } from './downward.ts'
import { containerEnvironment } from './environment.ts'
import { runtimeErrors } from './errors.ts'
import { ensureHostsFile } from './hosts-file.ts'
import type { ImagePuller } from './image-puller.ts'
import type { PodInputs } from './pod-inputs.ts'
import type { PodObjects } from './pod-objects.ts'
import type { WaitingReason } from './pod-status.ts'
import { PodVolumes } from './pod-volumes.ts'
import { loginsOf } from './registry-logins.ts'
import type { Sandboxes } from './sandboxes.ts'
import { effectiveSecurity, requireNonRoot } from './security-options.ts'
import type { TerminationMessages } from './termination-messages.ts'
import type { ContentContext } from './volume-content.ts'

export interface ContainerMakerOptions {
  readonly engine: DockerEngine
  readonly sandboxes: Sandboxes
  readonly images: ImagePuller
  readonly objects: PodObjects
  readonly tokens: AccountTokens
  readonly volumes: PodVolumes
  readonly messages: TerminationMessages
  /** The directory of a pod on disk. */
  readonly diskOf: (uid: string) => string
  /** Holds seccomp profiles that pods may name. */
  readonly profiles: string
  /** What names the services of a namespace in environments. */
  readonly services: (pod: Pod) => ReadonlyMap<string, string>
  readonly place: (pod: Pod) => PodPlace
  readonly facts: Omit<PodFacts, 'podIps'>
}

/** Which run of a container is to be made, and where. */
export interface ContainerStart {
  readonly attempt: number
  readonly sandboxId: string
  /** Docker's id of the container whose processes it is to see. */
  readonly processesOf?: string
}

export type Made =
  | { readonly kind: 'made'; readonly dockerId: string }
  /** It cannot be made yet; `retryIn` milliseconds, undefined when something else will wake. */
  | {
      readonly kind: 'waiting'
      readonly reason: WaitingReason | undefined
      readonly retryIn: number | undefined
    }

/** Milliseconds until what is missing is looked for again. */
const MISSING_RETRY = 1_000

/** Which start of a container something is for. */
function keyOf(pod: Pod, container: Container, attempt: number): string {
  return `${pod.metadata.uid}/${container.name}/${attempt}`
}

/** An error of a stage, with what Kubernetes calls it. */
function waitingFor(reason: string, error: unknown): Made {
  return { kind: 'waiting', reason: { reason, message: explainError(error) }, retryIn: MISSING_RETRY }
}

export class ContainerMaker {
  readonly #options: ContainerMakerOptions

  constructor(options: ContainerMakerOptions) {
    this.#options = options
  }

  /**
   * Makes a container.
   *
   * @param done called when an image is there that was waited for
   * @throws what Docker refuses
   */
  async make(
    pod: Pod,
    container: Container,
    { attempt, sandboxId, processesOf }: ContainerStart,
    done: () => void,
  ): Promise<Made> {
    const { engine, images, sandboxes, diskOf, volumes, messages, facts } = this.#options
    const podIps = sandboxes.addresses(pod, sandboxId, facts.hostIp)
    let context: ContentContext
    try {
      context = await this.#context(pod, podIps, 'container')
      await volumes.prepare(context, new Set(container.volumeMounts?.map(({ name }) => name)))
    } catch (error) {
      return waitingFor('ContainerCreating', error)
    }
    const image = await this.#image(pod, container, attempt, context.inputs, done)
    if (image !== undefined) return image
    let details: Pick<
      Parameters<typeof containerOptions>[0],
      'environment' | 'mounts' | 'seccompProfile' | 'imageUser'
    >
    try {
      const environment = containerEnvironment(container, {
        ...context,
        services: this.#options.services(pod),
      })
      const imageUser = await engine.imageUser(container.image)
      requireNonRoot(pod, container, imageUser)
      details = {
        environment,
        imageUser,
        mounts: await volumes.mounts(container, context, environment),
        seccompProfile: await this.#profile(pod, container),
      }
    } catch (error) {
      return waitingFor('CreateContainerConfigError', error)
    }
    const { uid = '' } = pod.metadata
    const dockerId = await engine.create(
      containerOptions({
        ...this.#options.place(pod),
        ...details,
        container,
        attempt,
        sandboxId,
        processesOf,
        podIp: podIps[0] ?? '',
        macAddress: sandboxes.macAddress(sandboxId),
        hostsFile: await ensureHostsFile(diskOf(uid), hostsFileText(pod, podIps)),
        terminationFile: await messages.prepare(diskOf(uid), container.name, attempt),
        hostMemory: facts.allocatable.memory,
      }),
    )
    images.forget(keyOf(pod, container, attempt))
    return { kind: 'made', dockerId }
  }

  /** Brings volumes that are made of objects up to date. @throws what stands in the way */
  async refresh(pod: Pod, sandboxId: string): Promise<void> {
    const { sandboxes, volumes, facts } = this.#options
    const podIps = sandboxes.addresses(pod, sandboxId, facts.hostIp)
    const context = await this.#context(pod, podIps, 'volumes')
    await volumes.prepare(context, PodVolumes.changing(pod))
  }

  /** From now on the runtime hears of changes of what the pod's volumes are made of. */
  follow(pod: Pod): void {
    this.#options.objects.follow(pod)
  }

  unfollow(uid: string): void {
    this.#options.objects.unfollow(uid)
  }

  /** Nothing uses the volumes of a pod any more, and nothing ever will. */
  async discardVolumes(uid: string): Promise<void> {
    await this.#options.volumes.discard(uid)
  }

  /** Nothing is left of a pod but its directory. */
  async forget(uid: string): Promise<void> {
    this.#options.objects.forget(uid)
    this.#options.tokens.forget(uid)
    await this.#options.volumes.remove(uid)
  }

  async #context(pod: Pod, podIps: readonly string[], use: 'container' | 'volumes'): Promise<ContentContext> {
    const { objects, facts } = this.#options
    const inputs = await objects.of(pod, use)
    return { pod, inputs, facts: { ...facts, podIps }, tokens: await this.#tokensOf(pod) }
  }

  /** With no server there are none; a volume that has one goes on with it. */
  async #tokensOf(pod: Pod): Promise<ReadonlyMap<string, string>> {
    try {
      return await this.#options.tokens.of(pod)
    } catch (error) {
      if (isDroverError(error, kubernetesErrors.ApiUnreachable().code)) return new Map()
      throw error
    }
  }

  /** @returns what is to be waited for; undefined when the image is there */
  async #image(
    pod: Pod,
    container: Container,
    attempt: number,
    inputs: PodInputs,
    done: () => void,
  ): Promise<Made | undefined> {
    const { images } = this.#options
    const policy = container.imagePullPolicy ?? 'IfNotPresent'
    const secrets = (pod.spec.imagePullSecrets ?? []).flatMap(({ name = '' }): Secret[] =>
      [inputs.secret(name, true)].filter(secret => secret !== undefined),
    )
    const logins: readonly RegistryLogin[] = loginsOf(container.image, secrets)
    const image = await images.require(keyOf(pod, container, attempt), container.image, policy, done, logins)
    if (image.kind === 'ready') return undefined
    if (image.kind === 'pulling') return { kind: 'waiting', reason: undefined, retryIn: undefined }
    const reason =
      policy === 'Never' ? 'ErrImageNeverPull' : image.failures <= 1 ? 'ErrImagePull' : 'ImagePullBackOff'
    return {
      kind: 'waiting',
      reason: { reason, message: image.message },
      retryIn: image.retryIn > 0 ? image.retryIn : undefined,
    }
  }

  async #profile(pod: Pod, container: Container): Promise<string | undefined> {
    const { seccompProfile } = effectiveSecurity(pod, container)
    if (seccompProfile?.type !== 'Localhost') return undefined
    const name = seccompProfile.localhostProfile ?? ''
    if (name === '' || path.isAbsolute(name) || name.split('/').includes('..')) {
      throw runtimeErrors.InvalidPod({
        object: `pod ${pod.metadata.name}`,
        message: `has no seccomp profile ${name}`,
      })
    }
    return await readFile(path.join(this.#options.profiles, name), 'utf8')
  }
}
