/** What operations tell admission webhooks: which objects, in which forms, with which options. */
import type { Resource } from '../catalog/index.ts'
import { cloneJson, type Frozen, type JsonObject, type JsonValue } from '../json.ts'
import type { KubernetesObject } from '../objects.ts'
import { badRequest } from '../status.ts'
import type { AdmissionCall, ObjectForms, Operation } from '../webhooks/index.ts'
import type { WriteContext } from './context.ts'
import { decodeKind, decodeToKept } from './decode-body.ts'
import type { Next } from './modify.ts'

const OPTIONS: Readonly<Record<Exclude<Operation, 'CONNECT'>, string>> = {
  CREATE: 'CreateOptions',
  UPDATE: 'UpdateOptions',
  DELETE: 'DeleteOptions',
}

export interface AdmittedRequest {
  readonly operation: Operation
  /** Empty for the object itself. */
  readonly subresource: string
  /** Empty for kinds without namespaces. */
  readonly namespace: string
  /** Empty where it is generated. */
  readonly name: string
  /** Of the request, besides what every request has. */
  readonly options?: JsonObject
}

function optionsOf(
  { dryRun, fieldValidation, tracking }: WriteContext,
  { operation, options }: AdmittedRequest,
): JsonObject {
  if (operation === 'CONNECT') return {}
  const written = operation === 'DELETE' ? {} : { fieldValidation }
  const manager =
    tracking === undefined || operation === 'DELETE' ? {} : { fieldManager: tracking.manager.name }
  return {
    kind: OPTIONS[operation],
    apiVersion: 'meta.k8s.io/v1',
    ...(dryRun ? { dryRun: ['All'] } : {}),
    ...manager,
    ...written,
    ...options,
  }
}

/** Objects as operations have them: as they are kept, or in the request's version where a webhook converts. */
function keptForms(context: WriteContext): ObjectForms<KubernetesObject> {
  const { conversions } = context.cluster
  const convert = async (object: JsonObject, resource: Resource) => {
    if (resource.custom?.conversion === undefined) return object
    return (await conversions.convert(resource, [object]))[0] ?? object
  }
  return {
    async show(object, form) {
      const copy = await convert(cloneJson(object as unknown as JsonValue) as JsonObject, form)
      if (form.custom !== undefined) return form.custom.show(copy)
      return form.face === undefined ? copy : form.face.fromKept(copy)
    },
    async take(shown, form) {
      const taken = decodeToKept({ ...context, resource: form, fieldValidation: 'Ignore' }, shown)
      return (await convert(taken as unknown as JsonObject, context.resource)) as unknown as KubernetesObject
    },
  }
}

/** Bodies of subresources that have a kind of their own, the same for all forms of the object. */
function bodyForms(context: WriteContext, subresource: string): ObjectForms<JsonObject> {
  return {
    show: async object => cloneJson(object as JsonValue) as JsonObject,
    async take(shown, form) {
      const { kind, schema } = form.subresources.get(subresource) ?? {}
      if (kind === undefined || schema === undefined) throw badRequest('it has no body')
      decodeKind(shown, kind, schema, { ...context, fieldValidation: 'Ignore' })
      return shown
    },
  }
}

function callOf<T>(
  context: WriteContext,
  request: AdmittedRequest,
  forms: (context: WriteContext) => ObjectForms<T>,
): AdmissionCall<T> | undefined {
  const { cluster, resource, identity, dryRun, warn } = context
  if (context.bypassesWebhooks === true || cluster.webhooks.isEmpty) return undefined
  const { operation, subresource, namespace, name } = request
  return cluster.webhooks.admission(
    {
      identity,
      operation,
      resource,
      subresource,
      // Requests about a namespace are requests in it.
      namespace: resource.kept.storeKind === 'namespaces' ? name : namespace,
      name,
      dryRun,
      options: optionsOf(context, request),
    },
    forms(context),
    warn,
  )
}

/** Whom to ask about an object; undefined when that is nobody. */
export function objectAdmission(
  context: WriteContext,
  request: AdmittedRequest,
): AdmissionCall<KubernetesObject> | undefined {
  return callOf(context, request, keptForms)
}

/** Whom to ask about the body of a subresource with a kind of its own; undefined when that is nobody. */
export function bodyAdmission(
  context: WriteContext,
  request: AdmittedRequest,
): AdmissionCall<JsonObject> | undefined {
  return callOf(context, request, own => bodyForms(own, request.subresource))
}

/**
 * Asks about the body of a subresource that something is made with.
 *
 * @returns the body as webhooks want it
 * @throws the webhooks' refusals
 */
export async function admitBody(
  context: WriteContext,
  request: AdmittedRequest,
  body: JsonObject,
): Promise<JsonObject> {
  const admission = bodyAdmission(context, request)
  if (admission === undefined) return body
  const wanted = (await admission.mutate(body, undefined)) ?? body
  await admission.validate(wanted as Frozen<JsonObject>, undefined)
  return wanted
}

/** Asks about a connection to an object. What webhooks change of its options is not taken. @throws the webhooks' refusals */
export async function admitConnection(
  context: WriteContext,
  request: Omit<AdmittedRequest, 'operation'>,
  options: JsonObject,
): Promise<void> {
  const { group, version, kind } =
    context.resource.subresources.get(request.subresource)?.kind ?? context.resource
  const body = { kind, apiVersion: group === '' ? version : `${group}/${version}`, ...options }
  const admission = callOf(context, { ...request, operation: 'CONNECT' }, connectionForms)
  if (admission === undefined) return
  await admission.mutate(body, undefined)
  await admission.validate(body, undefined)
}

function connectionForms(): ObjectForms<JsonObject> {
  return { show: async object => cloneJson(object as JsonValue) as JsonObject, take: async shown => shown }
}

/** What is asked while an object is changed. */
export interface ChangeAdmission<Wish> {
  mutate(wish: Wish, current: Frozen<KubernetesObject>): Promise<Wish>
  validate(next: Exclude<Next, { type: 'keep' }>, current: Frozen<KubernetesObject>): Promise<void>
}

/** Whom to ask about a change; undefined when that is nobody. */
export function changeAdmission(
  context: WriteContext,
  request: Omit<AdmittedRequest, 'operation'>,
): ChangeAdmission<KubernetesObject> | undefined {
  const call = objectAdmission(context, { ...request, operation: 'UPDATE' })
  return (
    call && {
      async mutate(wish, current) {
        const { uid = '', creationTimestamp } = current.metadata
        wish.metadata.uid ||= uid
        if (creationTimestamp !== undefined) wish.metadata.creationTimestamp ||= creationTimestamp
        // Webhooks see what depends on other fields, too.
        context.resource.strategy.complete(wish)
        return (await call.mutate(wish, current)) ?? wish
      },
      validate: ({ object }, current) => call.validate(object, current),
    }
  )
}

/** Whom to ask about a deletion; undefined when that is nobody. */
export function deletionAdmission(
  context: WriteContext,
  request: Omit<AdmittedRequest, 'operation' | 'subresource'>,
): ChangeAdmission<undefined> | undefined {
  const call = objectAdmission(context, { ...request, operation: 'DELETE', subresource: '' })
  return (
    call && {
      async mutate(_, current) {
        await call.mutate(undefined, current)
        return undefined
      },
      validate: (_, current) => call.validate(undefined, current),
    }
  )
}
