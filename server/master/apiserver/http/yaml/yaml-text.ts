/** YAML as JSON text. The same file is the thread in which long texts are read. */
import { parentPort } from 'node:worker_threads'
import { isScalar, parseDocument, visit } from 'yaml'

/** Aliases make a small text a large object ("billion laughs", CVE-2019-11253). */
const ALIAS_LIMIT = 50

/** What the thread is asked: a text. */
export type YamlRequest = string

/** What it answers: JSON, undefined for what JSON cannot say; or what is wrong with the text. */
export type YamlReply = { readonly json: string | undefined } | { readonly problem: string }

/** @throws `RangeError` for a map that has a key twice */
function requireUniqueKeys(document: ReturnType<typeof parseDocument>): void {
  visit(document, {
    Map(_, { items }) {
      const seen = new Set<unknown>()
      for (const { key } of items) {
        const value = isScalar(key) ? key.value : key
        if (seen.has(value)) throw new RangeError(`Map keys must be unique: ${String(value).slice(0, 80)}`)
        seen.add(value)
      }
    },
  })
}

/**
 * Through JSON: aliases become copies, and what JSON cannot say is gone.
 *
 * @returns undefined for what JSON cannot say at all
 * @throws `YAMLParseError`, `RangeError`, `ReferenceError` for what is no YAML, or more than it seems
 */
export function yamlToJson(text: string): string | undefined {
  // The library would compare every key with all before it: with tens of thousands of them, that takes half a minute.
  const document = parseDocument(text, { uniqueKeys: false })
  const [error] = document.errors
  if (error !== undefined) throw error
  requireUniqueKeys(document)
  return JSON.stringify(document.toJS({ maxAliasCount: ALIAS_LIMIT }))
}

function answer(text: YamlRequest): YamlReply {
  try {
    return { json: yamlToJson(text) }
  } catch (error) {
    return { problem: error instanceof Error ? error.message : String(error) }
  }
}

parentPort?.on('message', (request: YamlRequest) => parentPort?.postMessage(answer(request)))
