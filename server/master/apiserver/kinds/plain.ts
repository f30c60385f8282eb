/** Kinds of which the server keeps what it is given, and columns to show them. */
import type { Frozen } from '../json.ts'
import type { KubernetesObject } from '../objects.ts'
import { columnsPrinter, numberColumn, textColumn } from '../printing/index.ts'
import { defineStrategy, type KindStrategy } from './strategy.ts'

type Path = readonly string[]

/** The value at a path as text. */
function textAt(object: Frozen<KubernetesObject>, path: Path): string {
  let value: unknown = object
  for (const field of path) value = (value as Readonly<Record<string, unknown>> | undefined)?.[field]
  if (Array.isArray(value)) return value.map(String).join(',')
  return value === undefined || value === null ? '' : String(value)
}

function countAt(object: Frozen<KubernetesObject>, path: Path): number {
  let value: unknown = object
  for (const field of path) value = (value as Readonly<Record<string, unknown>> | undefined)?.[field]
  return Array.isArray(value) ? value.length : 0
}

function text(name: string, ...path: Path) {
  return [
    textColumn(name, `From ${path.join('.')}.`),
    (object: Frozen<KubernetesObject>) => textAt(object, path),
  ] as const
}

function count(name: string, ...path: Path) {
  return [
    numberColumn(name, `How many ${path.join('.')}.`),
    (object: Frozen<KubernetesObject>) => countAt(object, path),
  ] as const
}

function plain(
  columns: Parameters<typeof columnsPrinter>[0],
  special: Partial<KindStrategy> = {},
): KindStrategy {
  return defineStrategy({ printer: columnsPrinter(columns), ...special })
}

const counted = { countsGenerations: true }

export const plainStrategy = defineStrategy({})
export const countedStrategy = defineStrategy(counted)
export const controllerRevisionStrategy = plain([
  [
    textColumn('Controller', 'Whose revision it is.'),
    ({ metadata }) => {
      const owner = metadata.ownerReferences?.find(({ controller }) => controller === true)
      return owner === undefined ? '<none>' : `${owner.kind.toLowerCase()}/${owner.name}`
    },
  ],
  [numberColumn('Revision', 'Number of the revision.'), object => Number(object.revision ?? 0)],
])
export const runtimeClassStrategy = plain([text('Handler', 'handler')])
export const csiDriverStrategy = plain(
  [
    text('AttachRequired', 'spec', 'attachRequired'),
    text('PodInfoOnMount', 'spec', 'podInfoOnMount'),
    text('StorageCapacity', 'spec', 'storageCapacity'),
    text('RequiresRepublish', 'spec', 'requiresRepublish'),
    text('Modes', 'spec', 'volumeLifecycleModes'),
  ],
  counted,
)
export const csiNodeStrategy = plain([count('Drivers', 'spec', 'drivers')])
export const csiCapacityStrategy = plain([
  text('StorageClassName', 'storageClassName'),
  text('Capacity', 'capacity'),
])
export const volumeAttachmentStrategy = plain([
  text('Attacher', 'spec', 'attacher'),
  text('PV', 'spec', 'source', 'persistentVolumeName'),
  text('Node', 'spec', 'nodeName'),
  text('Attached', 'status', 'attached'),
])
export const attributesClassStrategy = plain([text('DriverName', 'driverName')])
export const admissionPolicyStrategy = plain(
  [count('Validations', 'spec', 'validations'), text('ParamKind', 'spec', 'paramKind', 'kind')],
  counted,
)
export const admissionPolicyBindingStrategy = plain(
  [text('PolicyName', 'spec', 'policyName'), text('ParamRef', 'spec', 'paramRef', 'name')],
  counted,
)
export const flowSchemaStrategy = plain(
  [
    text('PriorityLevel', 'spec', 'priorityLevelConfiguration', 'name'),
    text('MatchingPrecedence', 'spec', 'matchingPrecedence'),
    text('DistinguisherMethod', 'spec', 'distinguisherMethod', 'type'),
  ],
  counted,
)
export const priorityLevelStrategy = plain(
  [
    text('Type', 'spec', 'type'),
    text('NominalConcurrencyShares', 'spec', 'limited', 'nominalConcurrencyShares'),
  ],
  counted,
)
export const serviceCidrStrategy = plain([text('CIDRs', 'spec', 'cidrs')])
export const resourceSliceStrategy = plain(
  [text('Node', 'spec', 'nodeName'), text('Driver', 'spec', 'driver'), text('Pool', 'spec', 'pool', 'name')],
  counted,
)
