/**
 * Docker labels of a pod's containers. The `io.kubernetes.*` names are those that the kubelet gave its Docker
 * containers, so that tools which know them find their way; `io.drover.*` are ours.
 */
import { LABEL } from '../../protocol/index.ts'

export const DOCKER_LABEL = {
  podUid: LABEL.podUid,
  podName: LABEL.podName,
  podNamespace: LABEL.podNamespace,
  container: LABEL.podContainer,
  /** `podsandbox` or `container`. */
  type: 'io.kubernetes.docker.type',
  /** Docker's id of the sandbox whose namespaces a container is in. */
  sandbox: 'io.kubernetes.sandbox.id',
  /** How often this container (or sandbox) of the pod was made before. */
  attempt: 'annotation.io.kubernetes.container.restartCount',
  /** Seconds between asking the pod's containers to stop and ending them. */
  gracePeriod: 'io.drover.pod.grace-period',
  /** What a container was given when it was made, as JSON of its pod's specification. */
  resources: 'io.drover.pod.resources',
  /** Which agent made it: no agent touches what is another's. */
  owner: 'io.drover.agent',
} as const

/** Name of the sandbox in the `container` label. */
export const SANDBOX_NAME = 'POD'
