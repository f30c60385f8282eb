/** The images of a host, as its node tells the scheduler: what is there need not be pulled. Pure. */

export interface HostImage {
  /** Tags and digests. */
  readonly names: readonly string[]
  /** Bytes. */
  readonly size: number
}

/** As kubelets do: the largest ones, which take longest to pull. */
const MOST_IMAGES = 50
const MOST_NAMES = 5

/** What the status of a node says of its images. */
export function reportedImages(images: readonly HostImage[]): { names: string[]; sizeBytes: number }[] {
  return images
    .map(({ names, size }) => ({
      // Docker's word for none.
      names: names.filter(name => !name.includes('<none>')).slice(0, MOST_NAMES),
      sizeBytes: size,
    }))
    .filter(({ names }) => names.length > 0)
    .toSorted((a, b) => b.sizeBytes - a.sizeBytes || ((a.names[0] ?? '') < (b.names[0] ?? '') ? -1 : 1))
    .slice(0, MOST_IMAGES)
}
