/** Pods for which others had to go, and the nodes where that made room: the room is theirs, not of lesser ones. */
import type { NodeState } from './node-state.ts'
import type { PodDemand } from './pod-demand.ts'

export class Nominations {
  readonly #nodeOf = new Map<string, string>()
  readonly #byNode = new Map<string, Map<string, PodDemand>>()

  nodeOf(key: string): string | undefined {
    return this.#nodeOf.get(key)
  }

  add(pod: PodDemand, node: string): void {
    this.remove(pod.key)
    this.#nodeOf.set(pod.key, node)
    const pods = this.#byNode.get(node) ?? new Map<string, PodDemand>()
    pods.set(pod.key, pod)
    this.#byNode.set(node, pods)
  }

  remove(key: string): void {
    const node = this.#nodeOf.get(key)
    if (node === undefined) return
    this.#nodeOf.delete(key)
    const pods = this.#byNode.get(node)
    pods?.delete(key)
    if (pods?.size === 0) this.#byNode.delete(node)
  }

  /** Keys of those that wait for a node and are less important. */
  lesser(node: string, priority: number): readonly string[] {
    return [...(this.#byNode.get(node)?.values() ?? [])]
      .filter(pod => pod.priority < priority)
      .map(({ key }) => key)
  }

  /** A node as it is for `pod`: with those that wait for it and are no less important. */
  onNode(node: NodeState, pod: PodDemand): NodeState {
    const waiting = this.#byNode.get(node.name)
    if (waiting === undefined) return node
    const before = [...waiting.values()].filter(
      ({ key, priority }) => key !== pod.key && priority >= pod.priority,
    )
    if (before.length === 0) return node
    const copy = node.copy()
    for (const each of before) copy.add(each)
    return copy
  }
}
