/** Events: one kept form (`v1`), two faces (`v1` and `events.k8s.io/v1`). */
import type { Frozen, JsonObject, JsonValue } from '../json.ts'
import type { Event } from '../objects.ts'
import { eventPrinter } from '../printing/index.ts'
import { type FieldProblem, invalid } from '../problems.ts'
import { defineStrategy, selectableFields } from './strategy.ts'

/** Where the two faces call the same field differently: `v1`, then `events.k8s.io/v1`. */
const RENAMED: readonly (readonly [string, string])[] = [
  ['involvedObject', 'regarding'],
  ['message', 'note'],
  ['source', 'deprecatedSource'],
  ['firstTimestamp', 'deprecatedFirstTimestamp'],
  ['lastTimestamp', 'deprecatedLastTimestamp'],
  ['count', 'deprecatedCount'],
  ['reportingComponent', 'reportingController'],
]
const TO_EVENTS = new Map(RENAMED)
const TO_CORE = new Map(RENAMED.map(([core, events]) => [events, core]))

function rename(object: JsonObject, names: ReadonlyMap<string, string>, apiVersion: string): JsonObject {
  const renamed: JsonObject = {}
  for (const [key, value] of Object.entries(object)) {
    renamed[names.get(key) ?? key] = key === 'apiVersion' ? apiVersion : (value as JsonValue)
  }
  return renamed
}

/** A kept event as `events.k8s.io/v1` shows it. */
export function toEventsFace(event: JsonObject): JsonObject {
  return rename(event, TO_EVENTS, 'events.k8s.io/v1')
}

/** An event of `events.k8s.io/v1` as it is kept. */
export function fromEventsFace(event: JsonObject): JsonObject {
  return rename(event, TO_CORE, 'v1')
}

function validate(event: Event): FieldProblem[] {
  const { namespace = '' } = event.involvedObject
  const own = event.metadata.namespace ?? ''
  // Events about objects without a namespace live in `default`.
  const fits = namespace === own || (namespace === '' && own === 'default')
  return fits ? [] : [invalid('involvedObject.namespace', namespace, 'does not match event.namespace')]
}

/** What both faces can be searched by, under each one's names. */
function fieldsOf(object: string, reporter: string) {
  return {
    [`${object}.kind`]: (event: Frozen<Event>) => event.involvedObject.kind,
    [`${object}.namespace`]: (event: Frozen<Event>) => event.involvedObject.namespace,
    [`${object}.name`]: (event: Frozen<Event>) => event.involvedObject.name,
    [`${object}.uid`]: (event: Frozen<Event>) => event.involvedObject.uid,
    [`${object}.apiVersion`]: (event: Frozen<Event>) => event.involvedObject.apiVersion,
    [`${object}.resourceVersion`]: (event: Frozen<Event>) => event.involvedObject.resourceVersion,
    [`${object}.fieldPath`]: (event: Frozen<Event>) => event.involvedObject.fieldPath,
    reason: (event: Frozen<Event>) => event.reason,
    [reporter]: (event: Frozen<Event>) => event.reportingComponent,
    type: (event: Frozen<Event>) => event.type,
  }
}

const COMMON = { printer: eventPrinter, createOnUpdate: true, validate }

/** Of events in `v1`. */
export const eventStrategy = defineStrategy<Event>({
  ...COMMON,
  selectable: selectableFields<Event>({
    ...fieldsOf('involvedObject', 'reportingComponent'),
    source: event => event.source?.component || event.reportingComponent,
  }),
})

/** Of the same events in `events.k8s.io/v1`. */
export const eventsFaceStrategy = defineStrategy<Event>({
  ...COMMON,
  selectable: selectableFields<Event>(fieldsOf('regarding', 'reportingController')),
})
