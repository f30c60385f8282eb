/** The images that Drover makes by itself. */
import type { Readable } from 'node:stream'
import { busyboxFileSystem, pauseFileSystem } from './busybox.ts'
import { loadBalancerFileSystem, START_SCRIPT } from './load-balancer.ts'

/** An image that can be made on any host. */
export interface LocalImage {
  /** Names with tags; the first is the one that Drover uses. */
  readonly names: readonly [string, ...string[]]
  /** What it is for, for those who ask. */
  readonly purpose: string
  readonly fileSystem: () => Promise<Readable>
  /** Lines of a Dockerfile that configure it. */
  readonly changes: readonly string[]
}

/** Holds the namespaces of a pod while its containers come and go. */
export const pauseImage: LocalImage = {
  names: ['drover/pause:1'],
  purpose: 'holds the namespaces of a pod',
  fileSystem: pauseFileSystem,
  // The first process of a container is not ended by a signal that it does not wait for: a kubelet would wait ten seconds.
  changes: [
    `ENTRYPOINT ["/bin/busybox", "sh", "-c", "trap 'exit 0' TERM INT; sleep 2147483647 & wait"]`,
    'LABEL io.rancher.container.system=pause',
  ],
}

/** A small Linux with a shell, for examples and tests. */
const busyboxImage: LocalImage = {
  names: ['drover/busybox:1', 'drover/busybox:latest'],
  purpose: 'a small Linux with a shell, for examples and tests',
  fileSystem: busyboxFileSystem,
  changes: ['ENV PATH=/usr/sbin:/usr/bin:/sbin:/bin', 'CMD ["/bin/sh"]'],
}

/** HAProxy as load balancers run it. The agent writes its configuration. */
const loadBalancerImage: LocalImage = {
  names: ['drover/lb:1'],
  purpose: 'HAProxy of load balancers',
  fileSystem: loadBalancerFileSystem,
  changes: [`ENTRYPOINT ["${START_SCRIPT}"]`],
}

/** Those that every host gets; others are made where they are needed for the first time. */
export const localImages: readonly LocalImage[] = [pauseImage, busyboxImage]

/** The image of that name, when Drover makes it by itself. */
export function localImage(name: string): LocalImage | undefined {
  return [...localImages, loadBalancerImage].find(({ names }) => names.includes(name))
}

/** An engine that images can be put into. */
export interface ImageStore {
  hasImage(name: string): Promise<boolean>
  importImage(archive: Readable, name: string, changes: readonly string[]): Promise<void>
}

/** Makes an image under those of its names that the engine does not have yet; returns the new names. */
export async function ensureImage(store: ImageStore, image: LocalImage): Promise<readonly string[]> {
  const made: string[] = []
  for (const name of image.names) {
    if (await store.hasImage(name)) continue
    await store.importImage(await image.fileSystem(), name, image.changes)
    made.push(name)
  }
  return made
}
