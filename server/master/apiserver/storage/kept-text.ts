/**
 * The text in which objects are kept: JSON that starts with kind, apiVersion and the resourceVersion.
 *
 * `{"kind":"Pod","apiVersion":"v1","metadata":{"resourceVersion":"17","name":…`
 *
 * The fixed place of the resourceVersion lets the store put in the revision of a write without anybody encoding the
 * object again, and lets a deletion be reported with its own revision. The text is what clients get.
 */
import type { KeptForm } from '../catalog/index.ts'
import type { KubernetesObject } from '../objects.ts'

/** The text of an object from behind its resourceVersion on. */
export type KeptTail = string

/** Encodes everything of `object` that does not depend on the revision. */
export function encodeTail({
  kind: _kind,
  apiVersion: _version,
  metadata,
  ...rest
}: KubernetesObject): KeptTail {
  const { resourceVersion: _revision, ...kept } = metadata
  // A name is always there, so neither text begins with `{}`.
  const metadataText = JSON.stringify(kept)
  const restText = JSON.stringify(rest)
  return `",${metadataText.slice(1)}${restText === '{}' ? '}' : `,${restText.slice(1)}`}`
}

/** The whole text, for the revision that writes it. */
export function keptText(form: KeptForm, revision: number, tail: KeptTail): string {
  return `${form.head}${revision}${tail}`
}

const REVISION = '"metadata":{"resourceVersion":"'

/** The tail of a kept text; its head may be that of a version in which the kind was kept before. */
export function tailOf(text: string): KeptTail {
  return text.slice(text.indexOf('"', text.indexOf(REVISION) + REVISION.length))
}

/** The same object under another revision. */
export function withRevision(form: KeptForm, text: string, revision: number): string {
  return keptText(form, revision, tailOf(text))
}
