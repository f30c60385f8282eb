/** Numbers of 32 bits for texts. Pure but for a number that differs in every process. */
import { randomInt } from 'node:crypto'

/** So that nobody can choose names that all have the same number. */
const SEED = randomInt(2 ** 32)

/** The same for the same text as long as the process lives (FNV-1a over the UTF-16 units, mixed at the end). */
export function textHash(text: string): number {
  let hash = SEED
  for (let at = 0; at < text.length; at += 1) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 16), 0x45d9f3b)
  return (hash ^ (hash >>> 16)) >>> 0
}
