/** JSON Merge Patch (RFC 7396). */
import { isJsonObject, type JsonObject, type JsonValue, memberOf, setMember } from '../json.ts'
import { checkDepth } from './limits.ts'

/**
 * Applies `patch` to `target`, changing it.
 *
 * @returns the result: `target` itself when both are objects
 * @throws `BadRequest` when the patch is nested too deeply
 */
export function applyMergePatch(target: JsonValue | undefined, patch: JsonValue, depth = 0): JsonValue {
  checkDepth(depth)
  if (!isJsonObject(patch)) return patch
  const result: JsonObject = isJsonObject(target) ? target : {}
  for (const key of Object.keys(patch)) {
    const change = memberOf(patch, key) ?? null
    if (change === null) delete result[key]
    else setMember(result, key, applyMergePatch(memberOf(result, key), change, depth + 1))
  }
  return result
}
