/** The whole model of a cluster on its way to some agents: cut once, each part encoded once. */
import { partMessage, runsBySize } from './messages.ts'

export class FullSynchronization {
  /** What a receiver shows after the last part: everything up to this revision, and perhaps more. */
  readonly sequence: number
  readonly #generation: string
  readonly #objects: ReadonlyMap<string, string>
  readonly #runs: readonly (readonly string[])[]
  readonly #encoded: (string | undefined)[] = []
  #users = 0

  /** @param objects uuid → JSON; it may go on changing, which whoever has all parts learns by steps after `sequence` */
  constructor(generation: string, sequence: number, objects: ReadonlyMap<string, string>) {
    this.#generation = generation
    this.sequence = sequence
    this.#objects = objects
    this.#runs = runsBySize([...objects.keys()], uuid => objects.get(uuid)?.length ?? 0)
  }

  get parts(): number {
    return this.#runs.length
  }

  /** Whether some agent is still being sent parts. */
  get inUse(): boolean {
    return this.#users > 0
  }

  use(): void {
    this.#users += 1
  }

  release(): void {
    this.#users -= 1
  }

  message(part: number): string {
    const known = this.#encoded[part]
    if (known !== undefined) return known
    const updates = (this.#runs[part] ?? []).flatMap(uuid => this.#objects.get(uuid) ?? [])
    const position = { generation: this.#generation, sequence: this.sequence }
    const text = partMessage(position, part, part < this.parts - 1, updates)
    this.#encoded[part] = text
    return text
  }
}
