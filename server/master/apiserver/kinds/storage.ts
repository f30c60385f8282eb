/** Volumes, claims and storage classes. */
import type { PersistentVolume, PersistentVolumeClaim, StorageClass } from '../objects.ts'
import { claimPrinter, storageClassPrinter, volumePrinter } from '../printing/index.ts'
import { type FieldProblem, forbiddenField, invalid, notSupported, required } from '../problems.ts'
import { quantityValue } from '../schema/index.ts'
import { changedFields } from './changed-fields.ts'
import { defineStrategy } from './strategy.ts'

const ACCESS_MODES = ['ReadOnlyMany', 'ReadWriteMany', 'ReadWriteOnce', 'ReadWriteOncePod']
/** Everything else in the specification of a volume says where its data are. */
const NOT_SOURCES = new Set([
  'accessModes',
  'capacity',
  'claimRef',
  'mountOptions',
  'nodeAffinity',
  'persistentVolumeReclaimPolicy',
  'storageClassName',
  'volumeAttributesClassName',
  'volumeMode',
])

function validateModes(modes: readonly string[] | undefined): FieldProblem[] {
  if ((modes ?? []).length === 0) return [required('spec.accessModes', 'at least 1 access mode is required')]
  return (modes ?? []).flatMap(mode =>
    ACCESS_MODES.includes(mode) ? [] : [notSupported('spec.accessModes', mode, ACCESS_MODES)],
  )
}

export const volumeStrategy = defineStrategy<PersistentVolume>({
  printer: volumePrinter,
  prepareCreate(volume) {
    volume.status = { phase: 'Pending' }
  },
  validate({ spec }) {
    const problems = validateModes(spec.accessModes)
    if (spec.capacity?.storage === undefined) problems.push(required('spec.capacity'))
    const sources = Object.keys(spec).filter(field => !NOT_SOURCES.has(field))
    if (sources.length === 0) problems.push(required('spec', 'must specify a volume type'))
    for (const source of sources.slice(1)) {
      problems.push(forbiddenField(`spec.${source}`, 'may not specify more than 1 volume type'))
    }
    return problems
  },
})

/** What of a claim may change after its creation. */
const CLAIM_MAY_CHANGE = new Set(['resources', 'volumeAttributesClassName', 'volumeName'])

export const claimStrategy = defineStrategy<PersistentVolumeClaim>({
  printer: claimPrinter,
  prepareCreate(claim) {
    claim.status = { phase: 'Pending' }
  },
  complete({ spec }) {
    spec.volumeMode ??= 'Filesystem'
  },
  validate({ spec }) {
    const problems = validateModes(spec.accessModes)
    const storage = spec.resources?.requests?.storage
    if (storage === undefined) problems.push(required('spec.resources[storage]'))
    else if ((quantityValue(storage) ?? 0) <= 0) {
      problems.push(invalid('spec.resources[storage]', storage, 'must be greater than zero'))
    }
    return problems
  },
  validateUpdate(claim, old) {
    const changed = changedFields(claim.spec, old.spec).some(
      field =>
        !CLAIM_MAY_CHANGE.has(field) &&
        // A claim without a class may still be given one.
        !(field === 'storageClassName' && old.spec.storageClassName === undefined),
    )
    const rebound = old.spec.volumeName !== undefined && old.spec.volumeName !== claim.spec.volumeName
    return changed || rebound
      ? [
          forbiddenField(
            'spec',
            'spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims',
          ),
        ]
      : []
  },
})

const CLASS_IMMUTABLE = new Set(['parameters', 'provisioner', 'reclaimPolicy', 'volumeBindingMode'])

export const storageClassStrategy = defineStrategy<StorageClass>({
  printer: storageClassPrinter,
  validate: ({ provisioner }) => (provisioner === '' ? [required('provisioner')] : []),
  validateUpdate: (next, old) =>
    changedFields(next, old)
      .filter(field => CLASS_IMMUTABLE.has(field))
      .map(field => forbiddenField(field, `updates to ${field} are forbidden.`)),
})
