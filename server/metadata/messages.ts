/** Messages with metadata, encoded once for everybody who gets them. */

/** Characters of objects in one message: small enough that a slow link has its other messages in between. */
const MESSAGE_SIZE = 1024 * 1024

function envelope(delta: Record<string, unknown>, updates: readonly string[]): string {
  const fields = JSON.stringify(delta)
  // The objects are JSON texts already; they are put in as they are.
  return `{"type":"metadata","delta":${fields.slice(0, -1)},"updates":[${updates.join(',')}]}}`
}

/** Cuts a list of sized things into runs of about `MESSAGE_SIZE`; there is at least one run. */
export function runsBySize<T>(items: readonly T[], sizeOf: (item: T) => number): T[][] {
  const runs: T[][] = [[]]
  let size = 0
  for (const item of items) {
    if (size >= MESSAGE_SIZE) {
      runs.push([])
      size = 0
    }
    runs.at(-1)?.push(item)
    size += sizeOf(item)
  }
  return runs
}

export interface StepMessages {
  readonly generation: string
  readonly from: number
  readonly sequence: number
  /** JSON texts of objects. */
  readonly updates: readonly string[]
  readonly removes: readonly string[]
}

/** The messages of one step; only the last one moves its receiver. */
export function stepMessages({ generation, from, sequence, updates, removes }: StepMessages): string[] {
  const runs = runsBySize(updates, text => text.length)
  return runs.map((run, index) => {
    const more = index < runs.length - 1
    const delta = { full: false, generation, from, sequence, more, removes: more ? [] : removes }
    return envelope(delta, run)
  })
}

/** One part of a full synchronisation. */
export function partMessage(
  position: { readonly generation: string; readonly sequence: number },
  part: number,
  more: boolean,
  updates: readonly string[],
): string {
  const { generation, sequence } = position
  return envelope({ full: true, generation, sequence, part, more }, updates)
}
