/** Turns objects into the resources and collections that clients see. */
import type { ModelObject } from '../model/index.ts'
import type { LinkBuilder, ResourceType } from './resource-type.ts'

const TRANSITIONAL = /ing$/

/** `yes` while something is on its way, `error` when it cannot go on, else `no`: all that a spinner needs. */
function transitioningOf(object: ModelObject): 'yes' | 'no' | 'error' {
  if (object.state === 'error') return 'error'
  return TRANSITIONAL.test(object.state) && object.state !== 'running' ? 'yes' : 'no'
}

/** Adds the number of milliseconds beside each date. */
function withTimestamps(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const result: Record<string, unknown> = { ...fields }
  for (const name of ['created', 'lastStart']) {
    const value = fields[name]
    if (typeof value === 'string') result[`${name}TS`] = Date.parse(value)
  }
  return result
}

export function showResource<T extends ModelObject>(
  type: ResourceType,
  object: T,
  urls: LinkBuilder,
): Record<string, unknown> {
  const subject = object as never
  const actions = Object.entries(type.actions ?? {}).filter(([, action]) => action.available(subject))
  const removable = type.remove !== undefined && object.state !== 'removing'
  return {
    id: object.id,
    type: type.type,
    links: {
      self: urls.resource(type.plural, object.id),
      ...(type.links?.(subject, urls) ?? {}),
    },
    actions: Object.fromEntries([
      ...actions.map(([name]) => [name, urls.resource(type.plural, object.id, `?action=${name}`)]),
      ...(removable ? [['remove', urls.resource(type.plural, object.id, '?action=remove')]] : []),
    ]),
    baseType: type.kind === 'container' ? 'instance' : type.type,
    kind: type.type,
    name: object.name,
    description: object.description ?? null,
    uuid: object.uuid,
    state: object.state,
    transitioning: transitioningOf(object),
    transitioningMessage: object.transitioningMessage ?? null,
    removed: null,
    ...withTimestamps({ created: object.created, ...type.show(subject) }),
  }
}
