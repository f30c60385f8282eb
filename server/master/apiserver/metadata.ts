/** The metadata that every kind has: what the server sets, and what it accepts. */
import { randomInt } from 'node:crypto'
import type { Frozen } from './json.ts'
import { checkDnsSubdomain, checkLabelValue, checkQualifiedName, type FormCheck } from './names.ts'
import type { ObjectMeta } from './objects.ts'
import { duplicate, type FieldProblem, forbiddenField, invalid, required, tooLong } from './problems.ts'

const ANNOTATIONS_LIMIT = 256 * 1024
/** Without vowels and look-alikes, so that no generated name is a word. */
const SUFFIX_ALPHABET = 'bcdfghjklmnpqrstvwxz2456789'
const SUFFIX_LENGTH = 5
const LONGEST_GENERATED_BASE = 63 - SUFFIX_LENGTH

/** A name for `generateName`: its prefix and five random characters. */
export function generateName(prefix: string): string {
  let name = prefix.slice(0, LONGEST_GENERATED_BASE)
  for (let index = 0; index < SUFFIX_LENGTH; index += 1) {
    name += SUFFIX_ALPHABET[randomInt(SUFFIX_ALPHABET.length)]
  }
  return name
}

export function validateLabels(labels: Readonly<Record<string, string>>, field: string): FieldProblem[] {
  const problems: FieldProblem[] = []
  for (const [key, value] of Object.entries(labels)) {
    const keyProblem = checkQualifiedName(key)
    if (keyProblem !== undefined) problems.push(invalid(field, key, keyProblem))
    const valueProblem = checkLabelValue(value)
    if (valueProblem !== undefined) problems.push(invalid(field, value, valueProblem))
  }
  return problems
}

export function validateAnnotations(annotations: Readonly<Record<string, string>>): FieldProblem[] {
  const problems: FieldProblem[] = []
  let size = 0
  for (const [key, value] of Object.entries(annotations)) {
    size += key.length + value.length
    // Annotation keys may be upper case where label keys may not.
    const problem = checkQualifiedName(key.toLowerCase())
    if (problem !== undefined) problems.push(invalid('metadata.annotations', key, problem))
  }
  if (size > ANNOTATIONS_LIMIT)
    problems.push(tooLong('metadata.annotations', `may not be more than ${ANNOTATIONS_LIMIT} bytes`))
  return problems
}

function validateFinalizers(finalizers: readonly string[]): FieldProblem[] {
  return finalizers.flatMap((finalizer, index) => {
    const problem = checkQualifiedName(finalizer)
    return problem === undefined ? [] : [invalid(`metadata.finalizers[${index}]`, finalizer, problem)]
  })
}

function validateOwners(metadata: ObjectMeta): FieldProblem[] {
  const problems: FieldProblem[] = []
  const owners = metadata.ownerReferences ?? []
  for (const [index, owner] of owners.entries()) {
    const field = `metadata.ownerReferences[${index}]`
    for (const key of ['apiVersion', 'kind', 'name', 'uid'] as const) {
      if (owner[key] === '') problems.push(required(`${field}.${key}`, 'must not be empty'))
    }
  }
  if (owners.filter(owner => owner.controller === true).length > 1) {
    problems.push(
      invalid(
        'metadata.ownerReferences',
        owners.length,
        'Only one reference can have Controller set to true',
      ),
    )
  }
  return problems
}

/** What is wrong with the metadata of an object that is about to be stored. */
export function validateMetadata(metadata: ObjectMeta, checkName: FormCheck): FieldProblem[] {
  const problems: FieldProblem[] = []
  const nameProblem = checkName(metadata.name)
  if (nameProblem !== undefined) problems.push(invalid('metadata.name', metadata.name, nameProblem))
  if (metadata.generateName !== undefined) {
    // What follows completes it, so an ending that a whole name may not have is fine.
    const problem = checkDnsSubdomain(`${metadata.generateName}x`.slice(0, 253))
    if (problem !== undefined) problems.push(invalid('metadata.generateName', metadata.generateName, problem))
  }
  if (metadata.labels !== undefined) problems.push(...validateLabels(metadata.labels, 'metadata.labels'))
  if (metadata.annotations !== undefined) problems.push(...validateAnnotations(metadata.annotations))
  if (metadata.finalizers !== undefined) problems.push(...validateFinalizers(metadata.finalizers))
  if (metadata.ownerReferences !== undefined) problems.push(...validateOwners(metadata))
  return problems
}

/** What a change may not do to metadata. System fields are restored from `old` before and need no check. */
export function validateMetadataUpdate(metadata: ObjectMeta, old: Frozen<ObjectMeta>): FieldProblem[] {
  if (metadata.name !== old.name) return [invalid('metadata.name', metadata.name, 'field is immutable')]
  if (old.deletionTimestamp === undefined) return []
  const before = new Set(old.finalizers)
  const added = (metadata.finalizers ?? []).filter(finalizer => !before.has(finalizer))
  if (added.length === 0) return []
  return [
    forbiddenField(
      'metadata.finalizers',
      `no new finalizers can be added if the object is being deleted, found new finalizers ${JSON.stringify(added)}`,
    ),
  ]
}

/** Names that occur more than once in a list of named things. */
export function duplicateNames(names: readonly string[], field: (index: number) => string): FieldProblem[] {
  const seen = new Set<string>()
  return names.flatMap((name, index) => {
    if (!seen.has(name)) {
      seen.add(name)
      return []
    }
    return [duplicate(field(index), name)]
  })
}
