/** `drover stack`: brings compose files to the server and waits until what they describe runs. */
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { explainError, sleep } from '../../kit/index.ts'
import { composeVariables } from '../../protocol/index.ts'
import type { ApiClient, Resource } from '../api-client.ts'
import { cliErrors } from '../errors.ts'
import { formatTable, print, printJson, progress } from '../output.ts'

export interface StackUpOptions {
  readonly file: readonly string[]
  readonly rancherFile?: string
  readonly stack?: string
  readonly environment?: string
  readonly upgrade?: boolean
  readonly confirm?: boolean
  readonly rollback?: boolean
  readonly timeout: number
  readonly json?: boolean
}

/** Milliseconds between two looks while waiting. */
const LOOK_INTERVAL = 200
/** Milliseconds for which nothing ends: many a container that cannot work ends right after its start. */
const STABLE = 600

async function readTemplate(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (cause) {
    throw cliErrors.UnreadableFile({ object: file, message: `cannot be read: ${explainError(cause)}`, cause })
  }
}

/** The compose files, by the names that errors show. */
async function readTemplates(options: StackUpOptions): Promise<Record<string, string>> {
  const files = options.rancherFile === undefined ? options.file : [...options.file, options.rancherFile]
  const templates: Record<string, string> = {}
  for (const file of files) templates[file] = await readTemplate(file)
  return templates
}

/** Values of the variables that the files use, from this process's environment. */
function readAnswers(templates: Readonly<Record<string, string>>): Record<string, string> {
  const names = Object.values(templates).flatMap(composeVariables)
  return Object.fromEntries(
    names.flatMap(name => {
      const value = process.env[name]
      return value === undefined ? [] : [[name, value]]
    }),
  )
}

/** Like docker compose: the directory of the first file names the stack. */
function stackNameOf(file: string): string {
  const directory = path.basename(path.dirname(path.resolve(file)))
  const name = directory.replace(/[^a-zA-Z0-9-]+/g, '-').replace(/^-+|-+$/g, '')
  return name === '' ? 'stack' : name
}

async function findProject(api: ApiClient, name: string | undefined): Promise<string | undefined> {
  return name === undefined ? undefined : (await api.find('projects', 'environment', name)).id
}

async function findStack(
  api: ApiClient,
  name: string,
  project: string | undefined,
): Promise<Resource | undefined> {
  const stacks = await api.list('stacks', project === undefined ? { name } : { name, accountId: project })
  return stacks.find(stack => stack.state !== 'removing')
}

/** Waits until a stack of that name that is being removed is gone. */
async function waitForRemoval(api: ApiClient, name: string, deadline: number): Promise<void> {
  while ((await api.list('stacks', { name })).some(stack => stack.state === 'removing')) {
    if (Date.now() > deadline) throw cliErrors.NotReady({ object: `removal of stack ${name}` })
    await sleep(LOOK_INTERVAL)
  }
}

interface StackProgress {
  readonly services: readonly Resource[]
  readonly containers: readonly Resource[]
}

async function look(api: ApiClient, stackId: string): Promise<StackProgress> {
  const [services, containers] = await Promise.all([
    api.list('services', { stackId }),
    api.list('containers', { stackId }),
  ])
  return { services, containers }
}

function summary({ services, containers }: StackProgress): string {
  return services
    .map(service => {
      const running = containers.filter(
        ({ serviceId, state }) => serviceId === service.id && state === 'running',
      )
      return `${service.name} ${running.length}/${service.scale}`
    })
    .join(', ')
}

/** A container that cannot be started, of those that are wanted now: what an upgrade is about to replace does not count. */
function brokenContainer({ services, containers }: StackProgress): Resource | undefined {
  const versions = new Map(services.map(({ id, version }) => [id, version]))
  return containers.find(
    ({ state, serviceId, version }) => state === 'error' && versions.get(String(serviceId)) === version,
  )
}

/** Which runs of containers there are: changes when one is started again. */
function runs({ containers }: StackProgress): string {
  return containers.map(({ id, state, startCount }) => `${id} ${state} ${startCount}`).join()
}

/**
 * Waits until every service has settled and stays so for a moment; a container that cannot be started ends the wait with
 * its reason.
 */
async function waitUntilActive(api: ApiClient, stack: Resource, deadline: number): Promise<StackProgress> {
  let shown = ''
  let settled: { readonly since: number; readonly runs: string } | undefined
  for (;;) {
    const state = await look(api, stack.id)
    const text = summary(state)
    if (text !== shown) progress(`${stack.name}: ${text}`)
    shown = text
    const broken = brokenContainer(state)
    if (broken !== undefined) {
      throw cliErrors.Failed({
        object: `container ${broken.name}`,
        message: broken.transitioningMessage ?? 'cannot be started',
        mend: 'correct it and bring the stack up again; it is also tried again by itself',
      })
    }
    if (!state.services.every(service => service.state === 'active')) settled = undefined
    else if (settled?.runs !== runs(state)) settled = { since: Date.now(), runs: runs(state) }
    else if (Date.now() - settled.since >= STABLE) return state
    if (Date.now() > deadline) {
      const waiting = state.containers.find(({ transitioningMessage }) => transitioningMessage !== null)
      throw cliErrors.NotReady({
        object: `stack ${stack.name}`,
        message:
          waiting === undefined
            ? `is not ready in time (${text})`
            : `${waiting.name}: ${waiting.transitioningMessage}`,
      })
    }
    await sleep(LOOK_INTERVAL)
  }
}

function showContainers(containers: readonly Resource[], hosts: readonly Resource[]): string {
  const hostNames = new Map(hosts.map(({ id, name }) => [id, name]))
  return formatTable(
    ['NAME', 'STATE', 'IP', 'HOST'],
    containers.map(({ name, state, primaryIpAddress, hostId }) => [
      name,
      state,
      String(primaryIpAddress ?? '-'),
      hostNames.get(String(hostId)) ?? '-',
    ]),
  )
}

async function applyFiles(api: ApiClient, options: StackUpOptions, deadline: number): Promise<Resource> {
  const templates = await readTemplates(options)
  const answers = readAnswers(templates)
  const name = options.stack ?? stackNameOf(options.file[0] ?? '')
  const project = await findProject(api, options.environment)
  const present = await findStack(api, name, project)
  if (present !== undefined) {
    return await api.update('stacks', present.id, { templates, answers, upgrade: options.upgrade === true })
  }
  await waitForRemoval(api, name, deadline)
  return await api.create('stacks', {
    name,
    templates,
    answers,
    ...(project === undefined ? {} : { accountId: project }),
  })
}

export async function stackUp(api: ApiClient, options: StackUpOptions): Promise<void> {
  const deadline = Date.now() + options.timeout * 1000
  const name = options.stack ?? stackNameOf(options.file[0] ?? '')
  let stack: Resource
  if (options.confirm === true || options.rollback === true) {
    const found = await findStack(api, name, await findProject(api, options.environment))
    if (found === undefined) throw cliErrors.NotFound({ object: `stack ${name}` })
    stack = await api.act('stacks', found.id, options.confirm === true ? 'finishupgrade' : 'rollback')
  } else stack = await applyFiles(api, options, deadline)
  const { services, containers } = await waitUntilActive(api, stack, deadline)
  if (options.json === true) printJson({ stack, services, containers })
  else print(showContainers(containers, await api.list('hosts')))
}

export async function stackList(api: ApiClient, json: boolean): Promise<void> {
  const [stacks, services, projects] = await Promise.all([
    api.list('stacks'),
    api.list('services'),
    api.list('projects'),
  ])
  if (json) {
    printJson(stacks)
    return
  }
  const projectName = new Map(projects.map(({ id, name }) => [id, name]))
  print(
    formatTable(
      ['NAME', 'ID', 'STATE', 'ENVIRONMENT', 'SERVICES'],
      stacks.map(stack => [
        stack.name,
        stack.id,
        stack.state,
        projectName.get(String(stack.accountId)) ?? String(stack.accountId),
        services
          .filter(({ stackId }) => stackId === stack.id)
          .map(({ name, scale }) => `${name}(${scale})`)
          .join(' '),
      ]),
    ),
  )
}

export async function stackRemove(api: ApiClient, name: string, timeout: number): Promise<void> {
  const stack = await api.find('stacks', 'stack', name)
  await api.remove('stacks', stack.id)
  const deadline = Date.now() + timeout * 1000
  while ((await api.list('stacks', { name: stack.name })).some(({ id }) => id === stack.id)) {
    if (Date.now() > deadline) {
      throw cliErrors.NotReady({
        object: `removal of stack ${stack.name}`,
        mend: 'it goes on; look again with: drover stack ls',
      })
    }
    await sleep(LOOK_INTERVAL)
  }
  print(`removed ${stack.name}`)
}

export async function stackExport(api: ApiClient, name: string): Promise<void> {
  const stack = await api.find('stacks', 'stack', name)
  const { templates } = (await api.act('stacks', stack.id, 'exportconfig')) as unknown as {
    templates: Record<string, string>
  }
  for (const [file, text] of Object.entries(templates)) print(`# ${file}\n${text.trimEnd()}`)
}
