/** A cluster's own choice of CNI plugins: file name → configuration (list), as it came with the network object. */
import path from 'node:path'
import { isDroverError, Type, validatorOf } from '../../kit/index.ts'
import { pluginFile } from '../cni/index.ts'
import { networkErrors } from '../errors.ts'

export type ExternalConfiguration = Readonly<Record<string, Readonly<Record<string, unknown>>>>

/** Hosts whose labels say what, e.g. of their interface, is filled in; the 2017 system had this. */
const HOST_LABEL = /^__host_label__:\s*(\S+)$/

const typed = validatorOf(
  Type.Object({
    type: Type.Optional(Type.String()),
    ipam: Type.Optional(Type.Object({ type: Type.Optional(Type.String()) })),
    plugins: Type.Optional(
      Type.Array(
        Type.Object({
          type: Type.Optional(Type.String()),
          ipam: Type.Optional(Type.Object({ type: Type.Optional(Type.String()) })),
        }),
      ),
    ),
  }),
)

function substitute(value: unknown, labels: Readonly<Record<string, string>>): unknown {
  if (typeof value === 'string') {
    const label = HOST_LABEL.exec(value)?.[1]
    return label === undefined ? value : (labels[label] ?? '')
  }
  if (Array.isArray(value)) return value.map(entry => substitute(entry, labels))
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, substitute(entry, labels)]))
}

/** The labels of hosts that a configuration refers to. */
export function referredLabels(configuration: ExternalConfiguration): Set<string> {
  const found = new Set<string>()
  const search = (value: unknown): void => {
    if (typeof value === 'string') {
      const label = HOST_LABEL.exec(value)?.[1]
      if (label !== undefined) found.add(label)
    } else if (typeof value === 'object' && value !== null) {
      for (const entry of Object.values(value)) search(entry)
    }
  }
  search(configuration)
  return found
}

/** @throws `InvalidCniConfiguration` for a name that is no file's, or that runtimes pass over */
function requireName(name: string): string {
  if (/^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/.test(name) && /\.(conflist|conf|json)$/.test(name)) return name
  throw networkErrors.InvalidCniConfiguration({
    object: `CNI configuration ${JSON.stringify(name.slice(0, 80))}`,
    message: 'cannot be the name of its file',
    expected: 'letters, digits, dots and hyphens, ending in .conflist, .conf or .json',
  })
}

/** The files of a configuration, as text. @throws `InvalidCniConfiguration` */
export function externalFiles(
  configuration: ExternalConfiguration,
  hostLabels: Readonly<Record<string, string>>,
): Map<string, string> {
  return new Map(
    Object.entries(configuration).map(([name, content]) => [
      requireName(name),
      `${JSON.stringify(substitute(content, hostLabels), undefined, 2)}\n`,
    ]),
  )
}

/**
 * The plugins that a configuration names, those for addresses among them.
 *
 * @throws `InvalidCniConfiguration` for a name with a path in it
 */
export function externalPlugins(configuration: ExternalConfiguration): Set<string> {
  const types = new Set<string>()
  for (const [name, content] of Object.entries(configuration)) {
    try {
      const list = typed.parse(content, name)
      for (const plugin of [list, ...(list.plugins ?? [])]) {
        for (const type of [plugin.type, plugin.ipam?.type])
          if (type !== undefined && type !== '') types.add(type)
      }
    } catch (cause) {
      if (!isDroverError(cause, 'InvalidFormat')) throw cause
      throw networkErrors.InvalidCniConfiguration({ object: `CNI configuration ${name}`, cause })
    }
  }
  for (const type of types) path.basename(pluginFile('/', type))
  return types
}
