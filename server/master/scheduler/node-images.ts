/**
 * Which nodes have the images of a pod already, and how much that is worth: kube-scheduler's ImageLocality. Large images
 * count more; one that few nodes have counts less, so that not all of its pods gather there.
 */
import type { Frozen } from '../apiserver/index.ts'

export interface NodeImage {
  readonly names?: readonly string[]
  readonly sizeBytes?: number
}

const MEBIBYTE = 1024 * 1024
/** Bytes of an image below which pulling it takes no time worth mentioning, and above which more makes no difference. */
const SMALL = 23 * MEBIBYTE
const LARGE = 1000 * MEBIBYTE
const FULL = 100
/** Sets of images whose scores are remembered. */
const REMEMBERED = 1_000

type Scores = ReadonlyMap<string, number>

/** An image without a tag or digest is the newest one. */
export function normalizedImage(name: string): string {
  return name.lastIndexOf(':') <= name.lastIndexOf('/') ? `${name}:latest` : name
}

export class NodeImages {
  /** Sizes in bytes by name of image, then by node. */
  readonly #sizes = new Map<string, Map<string, number>>()
  /** Names of the images of each node, and their text, by which a change is known. */
  readonly #ofNode = new Map<string, { readonly names: readonly string[]; readonly text: string }>()
  readonly #remembered = new Map<string, Scores>()

  /** @param images those that a node says it has; undefined for a node that is gone. @returns whether that is news */
  set(node: string, images: Frozen<readonly NodeImage[]> | undefined): boolean {
    const before = this.#ofNode.get(node)
    const text = images === undefined ? undefined : JSON.stringify(images)
    if (before?.text === text) return false
    for (const name of before?.names ?? []) this.#forget(name, node)
    this.#ofNode.delete(node)
    this.#remembered.clear()
    if (images === undefined || text === undefined) return true
    const names: string[] = []
    for (const { names: all = [], sizeBytes = 0 } of images) {
      for (const name of all) {
        const sizes = this.#sizes.get(name) ?? new Map<string, number>()
        this.#sizes.set(name, sizes.set(node, sizeBytes))
        names.push(name)
      }
    }
    this.#ofNode.set(node, { names, text })
    return true
  }

  /** Scores from 0 to 100 of the nodes that have any of a pod's images: 0 for all others. @param images of its containers */
  scores(images: readonly string[]): Scores {
    const key = images.join('\n')
    let scores = this.#remembered.get(key)
    if (scores === undefined) {
      scores = this.#score(images)
      if (this.#remembered.size >= REMEMBERED) this.#remembered.clear()
      this.#remembered.set(key, scores)
    }
    return scores
  }

  #score(images: readonly string[]): Scores {
    const sums = new Map<string, number>()
    for (const image of images) {
      const sizes = this.#sizes.get(image)
      if (sizes === undefined) continue
      const spread = sizes.size / this.#ofNode.size
      for (const [node, size] of sizes) sums.set(node, (sums.get(node) ?? 0) + size * spread)
    }
    const most = LARGE * images.length
    const scores = new Map<string, number>()
    for (const [node, sum] of sums) {
      const score = (FULL * (Math.min(sum, most) - SMALL)) / (most - SMALL)
      if (score > 0) scores.set(node, Math.floor(score))
    }
    return scores
  }

  #forget(name: string, node: string): void {
    const sizes = this.#sizes.get(name)
    sizes?.delete(node)
    if (sizes?.size === 0) this.#sizes.delete(name)
  }
}
