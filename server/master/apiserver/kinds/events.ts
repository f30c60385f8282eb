/** Events: one kept form (`v1`), two faces (`v1` and `events.k8s.io/v1`). */
import type { JsonObject, JsonValue } from '../json.ts'
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

export const eventStrategy = defineStrategy<Event>({
  printer: eventPrinter,
  createOnUpdate: true,
  selectable: selectableFields<Event>({
    'involvedObject.kind': event => event.involvedObject.kind,
    'involvedObject.namespace': event => event.involvedObject.namespace,
    'involvedObject.name': event => event.involvedObject.name,
    'involvedObject.uid': event => event.involvedObject.uid,
    'involvedObject.apiVersion': event => event.involvedObject.apiVersion,
    'involvedObject.resourceVersion': event => event.involvedObject.resourceVersion,
    'involvedObject.fieldPath': event => event.involvedObject.fieldPath,
    reason: event => event.reason,
    reportingComponent: event => event.reportingComponent,
    source: event => event.source?.component ?? event.reportingComponent,
    type: event => event.type,
  }),
  validate,
})
