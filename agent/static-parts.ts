/** The parts of static pods. */
import path from 'node:path'
import type { Logger } from '../kit/index.ts'
import type { KubernetesClient, Pod, PodStatus } from '../protocol/kubernetes/index.ts'
import type { PodEvents, PodStatusWriter, PodStore } from './runtime/index.ts'
import { MirrorPods, StaticPods } from './static-pods/index.ts'

/** Where users put files of static pods. */
export function staticPodsDirectory(dataDirectory: string): string {
  return path.join(dataDirectory, 'static-pods')
}

export interface StaticContext {
  readonly dataDirectory: string
  readonly nodeName: string
  readonly client: KubernetesClient
  readonly store: PodStore
  readonly statuses: PodStatusWriter
  readonly happenings: PodEvents
  /** A pod was added, changed or taken away. */
  readonly onChange: (uid: string) => void
  readonly log: Logger
}

export interface StaticParts {
  readonly pods: StaticPods
  readonly mirrors: MirrorPods
  /** The newest status of a static pod. */
  readonly report: (pod: Pod, status: PodStatus) => void
}

export function staticParts(context: StaticContext): StaticParts {
  const { nodeName, client, store, statuses, happenings, log } = context
  const pods: StaticPods = new StaticPods({
    ...{ nodeName, store, log },
    directory: staticPodsDirectory(context.dataDirectory),
    onChange: pod => {
      context.onChange(pod.metadata.uid ?? '')
      mirrors.podChanged(pod)
    },
    onProblem: (file, message) =>
      happenings.recordOfNode({
        ...{ type: 'Warning', reason: 'InvalidStaticPod' },
        message: `${file}: ${message}`,
      }),
  })
  const mirrors: MirrorPods = new MirrorPods({
    ...{ client, nodeName, log },
    pods: () => pods.pods(),
    report: (mirror, status) => statuses.report(mirror, status),
  })
  return {
    pods,
    mirrors,
    report(pod, status) {
      // Nobody else tells the runtime what it said last.
      store.noteStatus(pod.metadata.uid ?? '', status)
      mirrors.report(pod, status)
    },
  }
}
