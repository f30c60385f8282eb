/** Which runner the pods of this host have, and the change from one to the other. */
import path from 'node:path'
import { type Logger, readJsonFile, Type, validatorOf, writeFileDurably } from '../kit/index.ts'
import { LABEL } from '../protocol/index.ts'
import type { DockerEngine } from './docker/index.ts'
import { type PodRunner, removeNetworkOfKubelet } from './host-parts.ts'
import { removeKubelet } from './kubelet/index.ts'
import { DOCKER_LABEL } from './runtime/index.ts'
import { removePodFiles } from './runtime-parts.ts'

const runnerFile = validatorOf(
  Type.Object({ runner: Type.Union([Type.Literal('builtin'), Type.Literal('kubelet')]) }),
)

function fileOf(dataDirectory: string): string {
  return path.join(dataDirectory, 'runner.json')
}

/** Everything of a kubelet on this host. */
export function kubeletDirectory(dataDirectory: string): string {
  return path.join(dataDirectory, 'kubelet')
}

/** What the host has, or had before it was removed. */
export async function presentRunner(dataDirectory: string): Promise<PodRunner> {
  return (await readJsonFile(fileOf(dataDirectory), runnerFile))?.runner ?? 'builtin'
}

export interface RunnerContext {
  readonly dataDirectory: string
  readonly engine: DockerEngine
  readonly hostId: string
  readonly log: Logger
}

/** Removes the containers of pods that one of the runners made. Those of a kubelet on another runtime than Docker stay. */
export async function removePodContainers(
  runner: PodRunner,
  { engine, hostId }: RunnerContext,
): Promise<void> {
  for (const id of await engine.listContainers()) {
    const { labels = {} } = (await engine.inspect(id)) ?? {}
    const owner = labels[DOCKER_LABEL.owner]
    const ofKubelet = owner === undefined && labels[LABEL.podUid] !== undefined
    if (runner === 'builtin' ? owner === hostId : ofKubelet) await engine.remove(id)
  }
}

/** Ends what the other runner runs, so that no pod runs twice. @returns whether there was another one */
export async function changeRunner(wanted: PodRunner, context: RunnerContext): Promise<boolean> {
  const { dataDirectory, log } = context
  const present = await presentRunner(dataDirectory)
  if (present === wanted) return false
  log.info({ from: present, to: wanted }, 'pods get another runner: what the one before runs is ended')
  if (present === 'kubelet') {
    await removeKubelet(kubeletDirectory(dataDirectory), log)
    await removeNetworkOfKubelet(dataDirectory)
  } else await removePodFiles(dataDirectory)
  await removePodContainers(present, context)
  await writeFileDurably(fileOf(dataDirectory), JSON.stringify({ runner: wanted }))
  return true
}
