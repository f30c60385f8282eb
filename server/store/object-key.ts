/** Which names a space and an object may have. */
import type { ObjectKey, SpaceId } from './contract.ts'
import { storeErrors } from './errors.ts'

const SPACE_ID = /^[A-Za-z0-9-]{1,63}$/
/** `pods`, `apps/deployments`, `widgets.example.com/v1`, `service`. */
const KIND = /^[A-Za-z0-9][A-Za-z0-9._/-]{0,511}$/
/** Longest namespace or name, in UTF-16 code units; Kubernetes allows 253. */
const LONGEST_NAME = 512
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must not be in a name
const CONTROL_CHARACTER = /[\u0000-\u001f\u007f]/

/**
 * The id of a space, checked.
 *
 * @throws `InvalidKey`
 */
export function parseSpaceId(text: string): SpaceId {
  if (!SPACE_ID.test(text)) {
    throw storeErrors.InvalidKey({
      object: `space ${JSON.stringify(text.slice(0, 80))}`,
      expected: '1 to 63 letters, digits and hyphens',
    })
  }
  return text as SpaceId
}

/** `pods default/web-1`, the way a user would name it. */
export function describeKey(key: ObjectKey): string {
  return key.namespace === '' ? `${key.kind} ${key.name}` : `${key.kind} ${key.namespace}/${key.name}`
}

function isName(text: string): boolean {
  return text.length <= LONGEST_NAME && text.isWellFormed() && !CONTROL_CHARACTER.test(text)
}

/** @throws `InvalidKey` naming the part that is wrong */
export function requireValidKey(key: ObjectKey): void {
  const wrong = (field: keyof ObjectKey, expected: string) =>
    storeErrors.InvalidKey({ object: JSON.stringify(key[field].slice(0, 80)), field, expected })
  if (!KIND.test(key.kind)) throw wrong('kind', 'a kind of at most 512 letters, digits, and . _ / -')
  if (!isName(key.namespace))
    throw wrong('namespace', 'at most 512 characters, none of them a control character')
  if (key.name === '' || !isName(key.name)) {
    throw wrong('name', '1 to 512 characters, none of them a control character')
  }
}
