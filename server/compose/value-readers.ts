/** Reads the value shapes that compose files use, each with an error that points at the value. */
import { parseIpv4 } from '../../kit/index.ts'
import type { BindMount, PortSpecification, ServiceLink } from '../model/index.ts'
import { splitShellWords } from './shell-words.ts'
import type { SourceFile, ValuePath } from './source-file.ts'

/** A value and where it stands. */
export interface PlacedValue {
  readonly file: SourceFile
  readonly path: ValuePath
  readonly value: unknown
}

/** The value at `key` below `parent`. */
export function child(parent: PlacedValue, key: string | number): PlacedValue {
  const value = (parent.value as Record<string | number, unknown>)[key]
  return { file: parent.file, path: [...parent.path, key], value }
}

export function readText(at: PlacedValue): string {
  if (typeof at.value === 'string') return at.value
  if (typeof at.value === 'number' || typeof at.value === 'boolean') return String(at.value)
  throw at.file.invalid(at.path, 'has a value that does not fit', 'a text')
}

export function readBoolean(at: PlacedValue): boolean {
  if (typeof at.value === 'boolean') return at.value
  if (at.value === 'true') return true
  if (at.value === 'false') return false
  throw at.file.invalid(at.path, 'has a value that does not fit', 'true or false')
}

export function readInteger(at: PlacedValue, minimum: number, maximum: number): number {
  const value = typeof at.value === 'string' && /^\d+$/.test(at.value) ? Number(at.value) : at.value
  if (typeof value === 'number' && Number.isInteger(value) && value >= minimum && value <= maximum)
    return value
  throw at.file.invalid(
    at.path,
    'has a value that does not fit',
    `a whole number from ${minimum} to ${maximum}`,
  )
}

export function readMap(at: PlacedValue): Readonly<Record<string, unknown>> {
  if (at.value !== null && typeof at.value === 'object' && !Array.isArray(at.value)) {
    return at.value as Record<string, unknown>
  }
  throw at.file.invalid(at.path, 'has a value that does not fit', 'a map of keys and values')
}

export function readList(at: PlacedValue): readonly PlacedValue[] {
  if (Array.isArray(at.value)) return at.value.map((_, index) => child(at, index))
  throw at.file.invalid(at.path, 'has a value that does not fit', 'a list')
}

export function readTextList(at: PlacedValue): readonly string[] {
  return readList(at).map(readText)
}

/** A text or a list of texts. */
export function readTextOrList(at: PlacedValue): readonly string[] {
  return Array.isArray(at.value) ? readTextList(at) : [readText(at)]
}

/** A command: a list as it is, a text split into words. */
export function readCommand(at: PlacedValue): readonly string[] {
  if (Array.isArray(at.value)) return readTextList(at)
  const words = splitShellWords(readText(at))
  if (words === undefined) throw at.file.invalid(at.path, 'has a quote that is not closed')
  return words
}

/**
 * A map, or a list of `name=value`.
 *
 * @param absent what a list element without `=` or a map entry without value stands for
 */
export function readPairs(
  at: PlacedValue,
  absent: (name: string) => string,
): Readonly<Record<string, string>> {
  if (Array.isArray(at.value)) {
    const pairs = readList(at).map(item => {
      const text = readText(item)
      const equals = text.indexOf('=')
      return equals < 0 ? [text, absent(text)] : [text.slice(0, equals), text.slice(equals + 1)]
    })
    return Object.fromEntries(pairs)
  }
  const entries = Object.entries(readMap(at)).map(([name, value]) => [
    name,
    value === null ? absent(name) : readText(child(at, name)),
  ])
  return Object.fromEntries(entries)
}

const MEMORY_UNIT: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  k: 2 ** 10,
  m: 2 ** 20,
  g: 2 ** 30,
  t: 2 ** 40,
}

/** Bytes: a number, or a number with a unit (`512m`, `1.5g`, `64mb`). */
export function readMemory(at: PlacedValue): number {
  const match = /^(\d+(?:\.\d+)?)\s*([bkmgt]?)b?$/i.exec(readText(at))
  const unit = MEMORY_UNIT[(match?.[2] ?? '').toLowerCase()]
  if (match === null || unit === undefined) {
    throw at.file.invalid(at.path, 'is not an amount of memory', 'bytes, or a number with k, m, g')
  }
  return Math.round(Number(match[1]) * unit)
}

const DURATION_UNIT: Readonly<Record<string, number>> = { ms: 0.001, s: 1, m: 60, h: 3600 }

/** Seconds: a number, or a duration such as `1m30s`. */
export function readSeconds(at: PlacedValue): number {
  const text = readText(at)
  if (/^\d+$/.test(text)) return Number(text)
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)]
  if (parts.length === 0 || parts.map(part => part[0]).join('') !== text) {
    throw at.file.invalid(at.path, 'is not a duration', 'seconds, or a duration such as 1m30s')
  }
  return parts.reduce((sum, part) => sum + Number(part[1]) * (DURATION_UNIT[part[2] ?? ''] ?? 0), 0)
}

/** `[address:]public:private[/protocol]`, where ports may be ranges of the same length. */
export function readPorts(at: PlacedValue): readonly PortSpecification[] {
  const text = readText(at)
  const invalid = (message: string) =>
    at.file.invalid(at.path, message, '[address:]public:private[/tcp|udp], such as 8080:80')
  const match = /^(?:([0-9.]+):)?(\d+)(?:-(\d+))?:(\d+)(?:-(\d+))?(?:\/(tcp|udp))?$/i.exec(text)
  if (match === null) {
    throw invalid(/^\d+(\/\w+)?$/.test(text) ? 'does not say on which port of the host' : 'is not a port')
  }
  const [
    ,
    address,
    publicFirst,
    publicLast = publicFirst,
    privateFirst,
    privateLast = privateFirst,
    protocol,
  ] = match
  if (address !== undefined && parseIpv4(address) === undefined) throw invalid('has an invalid address')
  const first = Number(publicFirst)
  const length = Number(publicLast) - first + 1
  if (length < 1 || length !== Number(privateLast) - Number(privateFirst) + 1) {
    throw invalid('has ranges of different lengths')
  }
  const ports = Array.from(
    { length },
    (_, offset): PortSpecification => ({
      ...(address === undefined || address === '0.0.0.0' ? {} : { address }),
      publicPort: first + offset,
      privatePort: Number(privateFirst) + offset,
      protocol: protocol?.toLowerCase() === 'udp' ? 'udp' : 'tcp',
    }),
  )
  if (
    ports.some(
      port =>
        port.publicPort < 1 || port.publicPort > 65535 || port.privatePort < 1 || port.privatePort > 65535,
    )
  ) {
    throw invalid('is outside 1 to 65535')
  }
  return ports
}

/** `service`, `service:alias`, `stack/service:alias`. */
export function readLink(at: PlacedValue): ServiceLink {
  const text = readText(at)
  const match = /^((?:[\w.-]+\/)?[\w.-]+)(?::([\w.-]+))?$/.exec(text)
  if (match === null) throw at.file.invalid(at.path, 'is not a link', 'service or service:alias')
  const name = match[1] ?? ''
  return { name, alias: (match[2] ?? name.split('/').at(-1) ?? name).toLowerCase() }
}

/** `host path:container path[:ro|rw]`. */
export function readBind(at: PlacedValue): BindMount {
  const text = readText(at)
  const match = /^(\/[^:]*):(\/[^:]*)(?::(ro|rw))?$/.exec(text)
  if (match === null) {
    throw at.file.invalid(
      at.path,
      'is not a bind of a host directory, the only volumes of this version',
      '/path/on/host:/path/in/container[:ro]',
    )
  }
  return { hostPath: match[1] ?? '', containerPath: match[2] ?? '', readOnly: match[3] === 'ro' }
}
