/** What is on disk about an interface that was put into a bridge: how to give everything back. */
import { rm } from 'node:fs/promises'
import path from 'node:path'
import {
  makePrivateDirectory,
  readJsonFile,
  type Static,
  Type,
  validatorOf,
  writeFileDurably,
} from '../../kit/index.ts'
import { interfaceConfigurationSchema } from './interface-configuration.ts'

const recordSchema = Type.Object({
  interface: Type.String({ maxLength: 15 }),
  bridge: Type.String({ maxLength: 15 }),
  /** `moving`: whether the host can be reached with the bridge is not known. */
  phase: Type.Union([Type.Literal('moving'), Type.Literal('done')]),
  /** Of the interface before. */
  configuration: interfaceConfigurationSchema,
})

export type TakeoverRecord = Static<typeof recordSchema>

const record = validatorOf(recordSchema)

export class TakeoverJournal {
  readonly #directory: string
  readonly #file: string

  constructor(directory: string) {
    this.#directory = directory
    this.#file = path.join(directory, 'flat.json')
  }

  /** @returns undefined when no interface was taken over. @throws `CorruptFile` */
  async read(): Promise<TakeoverRecord | undefined> {
    return await readJsonFile(this.#file, record)
  }

  async write(entry: TakeoverRecord): Promise<void> {
    await makePrivateDirectory(this.#directory)
    await writeFileDurably(this.#file, JSON.stringify(entry))
  }

  async clear(): Promise<void> {
    await rm(this.#file, { force: true })
  }
}
