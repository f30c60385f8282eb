/** Stacks: services that belong together, made from compose files. */
import { KeyedLock } from '../../../kit/index.ts'
import { readStack } from '../../compose/index.ts'
import { type Model, modelErrors, type Stack } from '../../model/index.ts'
import type { ApiContext } from '../context.ts'
import { apiErrors } from '../errors.ts'
import type { ResourceType } from '../resource-type.ts'

const NAME = /^[a-zA-Z0-9]([a-zA-Z0-9-]*[a-zA-Z0-9])?$/

function textMap(value: unknown): Record<string, string> {
  return (value ?? {}) as Record<string, string>
}

/** The environment a new object goes to: the one named, else the default one of the only or first cluster. */
function projectFor(model: Model, input: Record<string, unknown>) {
  const id = input.accountId ?? input.projectId
  const [cluster] = [...model.clusters.all()]
  const project = model.projects.get(String(id ?? cluster?.defaultProjectId ?? ''))
  if (project === undefined || project.state === 'removing') {
    throw apiErrors.InvalidReference({ object: `environment ${id ?? ''}`, field: 'accountId' })
  }
  return project
}

export function stackType({ model, compose }: ApiContext): ResourceType<'stack'> {
  const lock = new KeyedLock('stack', 100)
  const create = async (input: Record<string, unknown>): Promise<Stack> => {
    const project = projectFor(model, input)
    const name = String(input.name)
    const templates = textMap(input.templates)
    const answers = textMap(input.answers)
    const definition = readStack(templates, answers)
    if (model.stacks.find('name', `${project.id}/${name}`) !== undefined) {
      throw modelErrors.NotUnique({ object: `stack ${name}`, field: 'name' })
    }
    const stack = await model.stacks.create({
      name,
      ...(typeof input.description === 'string' ? { description: input.description } : {}),
      state: 'active',
      clusterId: project.clusterId,
      accountId: project.id,
      templates,
      answers,
      system: false,
    })
    await compose.apply(stack, definition)
    return stack
  }
  const update = async (stack: Stack, input: Record<string, unknown>): Promise<Stack> => {
    if (stack.state === 'removing')
      throw apiErrors.InvalidState({ object: `stack ${stack.name}`, message: 'is being removed' })
    const templates = input.templates === undefined ? stack.templates : textMap(input.templates)
    const answers = input.answers === undefined ? stack.answers : textMap(input.answers)
    const definition = readStack(templates, answers)
    if (input.upgrade !== true) compose.requireNoReplacement(stack, definition)
    const previous =
      input.upgrade === true ? { templates: stack.templates, answers: stack.answers } : stack.previous
    const updated = await model.stacks.update(stack.id, current => ({
      ...current,
      ...(typeof input.description === 'string' ? { description: input.description } : {}),
      templates,
      answers,
      ...(previous === undefined ? {} : { previous }),
    }))
    await compose.apply(updated, definition)
    return updated
  }
  const withoutPrevious = ({ previous: _previous, ...rest }: Stack): Stack => rest
  return {
    type: 'stack',
    kind: 'stack',
    plural: 'stacks',
    fields: {
      name: { type: 'string', create: true, required: true, minLength: 1, maxLength: 63, pattern: NAME },
      accountId: { type: 'reference[project]', create: true },
      projectId: { type: 'reference[project]', create: true },
      clusterId: { type: 'reference[cluster]' },
      templates: { type: 'map[string]', create: true, update: true, default: {} },
      answers: { type: 'map[string]', create: true, update: true, default: {} },
      /** Permits an update to replace containers. */
      upgrade: { type: 'boolean', update: true },
      system: { type: 'boolean' },
      healthState: { type: 'string' },
      serviceIds: { type: 'array[reference[service]]' },
    },
    show: stack => ({
      accountId: stack.accountId,
      projectId: stack.accountId,
      clusterId: stack.clusterId,
      templates: stack.templates,
      answers: stack.answers,
      system: stack.system,
      healthState: stack.healthState ?? null,
      serviceIds: model.services.where('stack', stack.id).map(({ id }) => id),
    }),
    projectOf: stack => stack.accountId,
    create: input => lock.run(String(input.name), () => create(input)),
    update: (stack, input) => lock.run(stack.name, () => update(stack, input)),
    remove: async stack =>
      await model.stacks.update(stack.id, current => ({ ...current, state: 'removing' as const })),
    actions: {
      rollback: {
        output: 'stack',
        available: stack => stack.previous !== undefined,
        run: (stack, _input) =>
          lock.run(stack.name, async () => {
            const { previous } = stack
            if (previous === undefined) throw apiErrors.ActionNotAvailable({ object: `stack ${stack.name}` })
            const definition = readStack(previous.templates, previous.answers)
            const updated = await model.stacks.update(stack.id, current => ({
              ...withoutPrevious(current),
              ...previous,
            }))
            await compose.apply(updated, definition)
            return updated
          }),
      },
      finishupgrade: {
        output: 'stack',
        available: stack => stack.previous !== undefined,
        run: async stack => await model.stacks.update(stack.id, withoutPrevious),
      },
      exportconfig: {
        output: 'composeConfig',
        available: () => true,
        run: async stack => ({ type: 'composeConfig', templates: stack.templates }),
      },
    },
    links: (stack, urls) => ({
      services: `${urls.collection('services')}?stackId=${stack.id}`,
      containers: `${urls.collection('containers')}?stackId=${stack.id}`,
    }),
  }
}
