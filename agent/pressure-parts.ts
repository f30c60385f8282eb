/** The parts that keep a host from running out of memory, disk or process ids. */
import path from 'node:path'
import type { Logger } from '../kit/index.ts'
import type { Pod } from '../protocol/kubernetes/index.ts'
import type { ContainerInventory, DockerEngine } from './docker/index.ts'
import {
  countedFor,
  Eviction,
  ImageCollector,
  ImageRecords,
  measureHost,
  measureSpace,
  PodUsages,
  readPressureSettings,
  shareSpace,
} from './pressure/index.ts'
import { type PodEvents, type PodRuntime, type PodStore, qosClassOf } from './runtime/index.ts'

/** Seconds that the containers of a pod have that is ended because the host has too little. */
const GRACE = 1

export interface PressureContext {
  readonly dataDirectory: string
  /** Where Docker keeps images and containers. */
  readonly dockerDirectory: string
  readonly engine: DockerEngine
  readonly inventory: ContainerInventory
  readonly store: PodStore
  readonly happenings: PodEvents
  readonly runtime: () => PodRuntime
  readonly onConditions: () => void
  readonly log: Logger
}

export interface PressureParts {
  readonly eviction: Eviction
  readonly images: ImageCollector
  readonly records: ImageRecords
}

/** @throws `InvalidSettings` */
export async function pressureParts(context: PressureContext): Promise<PressureParts> {
  const { dataDirectory, dockerDirectory, engine, inventory, store, happenings, runtime, log } = context
  const settings = await readPressureSettings(path.join(dataDirectory, 'pressure.json'))
  const records = new ImageRecords(path.join(dataDirectory, 'images.json'), log)
  await records.load()
  const onHappening = (reason: string, message: string) =>
    happenings.recordOfNode({ type: 'Warning', reason, message })
  const images = new ImageCollector({
    ...{ settings, records, engine, onHappening, log },
    space: () => measureSpace(dockerDirectory),
    inUse: () => new Set([...inventory.all()].map(({ imageId }) => imageId)),
  })
  const nodefs = path.join(dataDirectory, 'pods')
  const usages = new PodUsages({ engine, inventory, directoryOf: uid => store.directoryOf(uid), log })
  const eviction = new Eviction({
    ...{ settings, onHappening, log },
    measure: () => measureHost({ nodefs, imagefs: dockerDirectory }, log),
    pods: () =>
      store.uids().flatMap((uid): Pod[] => {
        const pod = store.get(uid)
        return pod !== undefined && runtime().isActive(uid) ? [pod] : []
      }),
    usageOf: async (pod, signal) =>
      usages.of(pod, countedFor(signal, await shareSpace(nodefs, dockerDirectory))),
    evict: (pod, reason, message) => runtime().fail(pod.metadata.uid ?? '', { reason, message }, GRACE),
    async freeDisk(signal) {
      // Images are not where volumes are, and would go for nothing.
      const helps = signal.startsWith('imagefs') || (await shareSpace(nodefs, dockerDirectory))
      if (helps) await images.removeUnused()
    },
    onConditions: context.onConditions,
    isBestEffort: pod => qosClassOf(pod) === 'BestEffort',
  })
  return { eviction, images, records }
}
