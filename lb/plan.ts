/**
 * How HAProxy gets from one model to another: by commands, which disturb nobody, or by a reload, which only a change of
 * structure needs.
 */
import {
  type Backend,
  type Certificate,
  type Endpoint,
  effectiveWeight,
  type HaproxyModel,
  type RoutingMap,
  serverName,
} from './model.ts'
import { normalizePem } from './model-check.ts'
import { type ConfigurationFiles, certificateFile, mapFile } from './render.ts'

export type ChangePlan =
  | { readonly how: 'nothing' }
  | { readonly how: 'commands'; readonly commands: readonly string[] }
  /** `reason` names the first part of the structure that differs. */
  | { readonly how: 'reload'; readonly reason: string }

/** Most commands of one change: beyond that a reload is quicker, and as safe. */
const MOST_COMMANDS = 20_000

const EMPTY: readonly (readonly [string, string])[] = []

/** Everything of a part but what commands can change, as text. */
function structureOf(part: object): string {
  return JSON.stringify(part, (key, value) => {
    if (key === 'slots') return (value as unknown[]).length
    return key === 'pem' || key === 'entries' ? undefined : value
  })
}

/** Compares two lists of named parts; parts that are the same object are not looked at. */
function differentPart<Part extends { readonly name: string }>(
  kind: string,
  before: readonly Part[],
  after: readonly Part[],
): string | undefined {
  for (const [index, part] of after.entries()) {
    const old = before[index]
    if (old === part) continue
    if (old === undefined || old.name !== part.name) return `${kind} ${part.name} is new here`
    if (structureOf(old) !== structureOf(part)) return `${kind} ${part.name} differs`
  }
  return before.length > after.length ? `${kind} ${before[after.length]?.name ?? ''} is gone` : undefined
}

function structuralDifference(before: HaproxyModel, after: HaproxyModel): string | undefined {
  const lines = (['global', 'defaults', 'sections'] as const).find(
    section => before[section] !== after[section] && before[section].join('\n') !== after[section].join('\n'),
  )
  return (
    (lines && `the lines of ${lines} differ`) ??
    (before.accessLog === after.accessLog ? undefined : 'the log differs') ??
    differentPart('backend', before.backends, after.backends) ??
    differentPart('frontend', before.frontends, after.frontends) ??
    differentPart('certificate', before.certificates, after.certificates) ??
    differentPart('map', before.maps, after.maps)
  )
}

/** Commands that put an endpoint into a slot that stands for none. */
function occupy(server: string, endpoint: Endpoint): string[] {
  return [
    `set server ${server} addr ${endpoint.address} port ${endpoint.port}`,
    `set server ${server} weight ${effectiveWeight(endpoint)}`,
    `set server ${server} state ready`,
    // Coming out of maintenance it counts as up until a check fails.
    ...(endpoint.initially === 'down' ? [`set server ${server} health down`] : []),
  ]
}

function slotCommands(server: string, before: Endpoint | undefined, after: Endpoint | undefined): string[] {
  if (before === after) return []
  if (after === undefined) return [`set server ${server} state maint`]
  if (before === undefined) return occupy(server, after)
  if (before.id !== after.id || before.address !== after.address || before.port !== after.port) {
    // In between it is nobody: what checks said of one says nothing of the other.
    return [`set server ${server} state maint`, ...occupy(server, after)]
  }
  const weight = effectiveWeight(after)
  return effectiveWeight(before) === weight ? [] : [`set server ${server} weight ${weight}`]
}

function backendCommands(before: Backend | undefined, after: Backend): string[] {
  if (before === after) return []
  return after.slots.flatMap((endpoint, slot) =>
    slotCommands(`${after.name}/${serverName(slot)}`, before?.slots[slot], endpoint),
  )
}

function certificateCommands(
  before: Certificate | undefined,
  after: Certificate,
  files: ConfigurationFiles,
): string[] {
  const pem = normalizePem(after.pem)
  if (before === after || (before !== undefined && normalizePem(before.pem) === pem)) return []
  const file = certificateFile(files, after.name)
  return [`set ssl cert ${file} <<\n${pem}`, `commit ssl cert ${file}`]
}

function mapCommands(before: RoutingMap | undefined, after: RoutingMap, files: ConfigurationFiles): string[] {
  if (before === after) return []
  const file = mapFile(files, after.name)
  const old = new Map(before?.entries ?? EMPTY)
  const commands: string[] = []
  for (const [key, value] of after.entries) {
    const present = old.get(key)
    old.delete(key)
    if (present === undefined) commands.push(`add map ${file} ${key} ${value}`)
    else if (present !== value) commands.push(`set map ${file} ${key} ${value}`)
  }
  return [...commands, ...[...old.keys()].map(key => `del map ${file} ${key}`)]
}

/** What brings HAProxy, which does what `before` says with these files, to what `after` says. */
export function planChange(before: HaproxyModel, after: HaproxyModel, files: ConfigurationFiles): ChangePlan {
  if (before === after) return { how: 'nothing' }
  const reason = structuralDifference(before, after)
  if (reason !== undefined) return { how: 'reload', reason }
  const commands = [
    ...after.certificates.flatMap((part, index) =>
      certificateCommands(before.certificates[index], part, files),
    ),
    ...after.maps.flatMap((part, index) => mapCommands(before.maps[index], part, files)),
    ...after.backends.flatMap((part, index) => backendCommands(before.backends[index], part)),
  ]
  if (commands.length > MOST_COMMANDS)
    return { how: 'reload', reason: `${commands.length} commands are too many` }
  return commands.length === 0 ? { how: 'nothing' } : { how: 'commands', commands }
}

/** What has to be said after a start: a file cannot say that a server counts as down until a check succeeds. */
export function commandsAfterLoading(model: HaproxyModel): string[] {
  return model.backends.flatMap(({ name, slots }) =>
    slots.flatMap((endpoint, slot) =>
      endpoint?.initially === 'down' ? occupy(`${name}/${serverName(slot)}`, endpoint) : [],
    ),
  )
}
