/** How `kubectl get` shows roles, quotas, volumes and the smaller kinds. */
import type { Frozen } from '../json.ts'
import type {
  CertificateSigningRequest,
  KubernetesObject,
  LimitRange,
  PersistentVolume,
  PersistentVolumeClaim,
  PriorityClass,
  ResourceQuota,
  Role,
  RoleBinding,
  StorageClass,
} from '../objects.ts'
import {
  AGE_COLUMN,
  type Column,
  NAME_COLUMN,
  numberColumn,
  type Printer,
  textColumn,
  wide,
} from './column.ts'
import { humanDuration, since } from './duration.ts'

const CREATED_COLUMN: Column = {
  name: 'Created At',
  type: 'string',
  format: '',
  description: 'When the object was created.',
  priority: 0,
}

function createdPrinter<T extends KubernetesObject>(): Printer<T> {
  return {
    columns: [NAME_COLUMN, CREATED_COLUMN],
    cells: ({ metadata }) => [metadata.name, metadata.creationTimestamp ?? ''],
  }
}

export const definitionPrinter = createdPrinter<KubernetesObject>()
export const rolePrinter = createdPrinter<Role>()
export const limitRangePrinter = createdPrinter<LimitRange>()

export const roleBindingPrinter: Printer<RoleBinding> = {
  columns: [
    NAME_COLUMN,
    textColumn('Role', 'What they may do.'),
    AGE_COLUMN,
    wide(textColumn('Users', 'Users that may.')),
    wide(textColumn('Groups', 'Groups that may.')),
    wide(textColumn('ServiceAccounts', 'Service accounts that may.')),
  ],
  cells: ({ metadata, roleRef, subjects }, now) => {
    const named = (kind: string) =>
      (subjects ?? [])
        .filter(subject => subject.kind === kind)
        .map(({ name, namespace }) => (kind === 'ServiceAccount' ? `${namespace ?? ''}/${name}` : name))
        .join(', ')
    return [
      metadata.name,
      `${roleRef.kind}/${roleRef.name}`,
      since(metadata.creationTimestamp, now),
      ...['User', 'Group', 'ServiceAccount'].map(named),
    ]
  },
}

export const quotaPrinter: Printer<ResourceQuota> = {
  columns: [
    NAME_COLUMN,
    textColumn('Request', 'Requests: used of allowed.'),
    textColumn('Limit', 'Limits: used of allowed.'),
    AGE_COLUMN,
  ],
  cells: ({ metadata, status }, now) => {
    const texts = Object.entries(status?.hard ?? {})
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, hard]) => [name, `${name}: ${status?.used?.[name] ?? '0'}/${hard}`] as const)
    const isLimit = (name: string) => name.startsWith('limits.')
    const part = (limits: boolean) =>
      texts
        .filter(([name]) => isLimit(name) === limits)
        .map(([, text]) => text)
        .join(', ')
    return [metadata.name, part(false), part(true), since(metadata.creationTimestamp, now)]
  },
}

export const priorityClassPrinter: Printer<PriorityClass> = {
  columns: [
    NAME_COLUMN,
    numberColumn('Value', 'Higher ones go first.'),
    textColumn('Global-Default', 'Whether pods without a class have it.'),
    AGE_COLUMN,
    textColumn('PreemptionPolicy', 'Whether its pods may take the place of others.'),
  ],
  cells: ({ metadata, value, globalDefault, preemptionPolicy }, now) => [
    metadata.name,
    value,
    String(globalDefault === true),
    since(metadata.creationTimestamp, now),
    preemptionPolicy ?? '',
  ],
}

const MODE_SHORT: Readonly<Record<string, string>> = {
  ReadWriteOnce: 'RWO',
  ReadOnlyMany: 'ROX',
  ReadWriteMany: 'RWX',
  ReadWriteOncePod: 'RWOP',
}

function modes(list: readonly string[] | undefined): string {
  return [...new Set(list)].map(mode => MODE_SHORT[mode] ?? mode).join(',')
}

const VOLUME_MODE = wide(textColumn('VolumeMode', 'Block device or file system.'))
const ATTRIBUTES_CLASS = textColumn('VolumeAttributesClass', 'Class of its attributes.')

export const volumePrinter: Printer<PersistentVolume> = {
  columns: [
    NAME_COLUMN,
    textColumn('Capacity', 'Size.'),
    textColumn('Access Modes', 'Who may mount it.'),
    textColumn('Reclaim Policy', 'What becomes of it after its claim.'),
    textColumn('Status', 'Phase.'),
    textColumn('Claim', 'Who has it.'),
    textColumn('StorageClass', 'Class of its storage.'),
    ATTRIBUTES_CLASS,
    textColumn('Reason', 'Why it failed.'),
    AGE_COLUMN,
    VOLUME_MODE,
  ],
  cells: ({ metadata, spec, status }, now) => [
    metadata.name,
    spec.capacity?.storage ?? '0',
    modes(spec.accessModes),
    spec.persistentVolumeReclaimPolicy ?? '',
    metadata.deletionTimestamp === undefined ? (status?.phase ?? '') : 'Terminating',
    spec.claimRef === undefined ? '' : `${spec.claimRef.namespace}/${spec.claimRef.name}`,
    spec.storageClassName ?? '',
    spec.volumeAttributesClassName ?? '<unset>',
    status?.reason ?? '',
    since(metadata.creationTimestamp, now),
    spec.volumeMode ?? '<unset>',
  ],
}

export const claimPrinter: Printer<PersistentVolumeClaim> = {
  columns: [
    NAME_COLUMN,
    textColumn('Status', 'Phase.'),
    textColumn('Volume', 'The volume behind it.'),
    textColumn('Capacity', 'Size.'),
    textColumn('Access Modes', 'Who may mount it.'),
    textColumn('StorageClass', 'Class of its storage.'),
    ATTRIBUTES_CLASS,
    AGE_COLUMN,
    VOLUME_MODE,
  ],
  cells: ({ metadata, spec, status }, now) => {
    const bound = (spec.volumeName ?? '') !== ''
    return [
      metadata.name,
      metadata.deletionTimestamp === undefined ? (status?.phase ?? '') : 'Terminating',
      spec.volumeName ?? '',
      bound ? (status?.capacity?.storage ?? '0') : '',
      bound ? modes(status?.accessModes) : '',
      spec.storageClassName ?? '',
      spec.volumeAttributesClassName ?? '<unset>',
      since(metadata.creationTimestamp, now),
      spec.volumeMode ?? '<unset>',
    ]
  },
}

const DEFAULT_CLASS = 'storageclass.kubernetes.io/is-default-class'

export const storageClassPrinter: Printer<StorageClass> = {
  columns: [
    NAME_COLUMN,
    textColumn('Provisioner', 'Who makes its volumes.'),
    textColumn('ReclaimPolicy', 'What becomes of volumes after their claims.'),
    textColumn('VolumeBindingMode', 'When claims get a volume.'),
    textColumn('AllowVolumeExpansion', 'Whether claims may grow.'),
    AGE_COLUMN,
  ],
  cells: ({ metadata, provisioner, reclaimPolicy, volumeBindingMode, allowVolumeExpansion }, now) => [
    metadata.annotations?.[DEFAULT_CLASS] === 'true' ? `${metadata.name} (default)` : metadata.name,
    provisioner,
    reclaimPolicy ?? 'Delete',
    volumeBindingMode ?? 'Immediate',
    String(allowVolumeExpansion === true),
    since(metadata.creationTimestamp, now),
  ],
}

function requestState({ status }: Frozen<CertificateSigningRequest>): string {
  const is = (type: string) => status?.conditions?.some(condition => condition.type === type) === true
  const words = [is('Denied') ? 'Denied' : is('Approved') ? 'Approved' : 'Pending']
  if (is('Failed')) words.push('Failed')
  if ((status?.certificate ?? '') !== '') words.push('Issued')
  return words.join(',')
}

export const certificateRequestPrinter: Printer<CertificateSigningRequest> = {
  columns: [
    NAME_COLUMN,
    AGE_COLUMN,
    textColumn('SignerName', 'Who is to sign.'),
    textColumn('Requestor', 'Who asks.'),
    textColumn('RequestedDuration', 'How long it shall be valid.'),
    textColumn('Condition', 'How far it is.'),
  ],
  cells: (request, now) => {
    const { metadata, spec } = request
    return [
      metadata.name,
      since(metadata.creationTimestamp, now),
      spec.signerName,
      spec.username ?? '',
      spec.expirationSeconds === undefined ? '<none>' : humanDuration(spec.expirationSeconds * 1000),
      requestState(request),
    ]
  },
}

/** A printer whose columns are read one by one. */
export function columnsPrinter<T extends KubernetesObject>(
  columns: readonly (readonly [Column, (object: Frozen<T>) => string | number])[],
): Printer<T> {
  return {
    columns: [NAME_COLUMN, ...columns.map(([column]) => column), AGE_COLUMN],
    cells: (object, now) => [
      object.metadata.name,
      ...columns.map(([, read]) => read(object)),
      since(object.metadata.creationTimestamp, now),
    ],
  }
}
