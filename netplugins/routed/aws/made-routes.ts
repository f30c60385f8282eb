/** Which routes this host entered, and where: kept on disk, so that it never removes anybody else's. */
import { rm } from 'node:fs/promises'
import path from 'node:path'
import {
  makePrivateDirectory,
  readJsonFile,
  type Static,
  Type,
  validatorOf,
  writeFileDurably,
} from '../../../kit/index.ts'

const recordSchema = Type.Object({
  region: Type.String({ pattern: '^[a-z0-9-]{1,64}$' }),
  endpoint: Type.Optional(Type.String({ maxLength: 512 })),
  routes: Type.Array(Type.Object({ table: Type.String(), destination: Type.String() })),
})

export type MadeRoutesRecord = Static<typeof recordSchema>
export type MadeRoute = MadeRoutesRecord['routes'][number]

const record = validatorOf(recordSchema)

export class MadeRoutes {
  readonly #directory: string
  readonly #file: string

  constructor(directory: string) {
    this.#directory = directory
    this.#file = path.join(directory, 'aws-routes.json')
  }

  /** @throws `CorruptFile` */
  async read(): Promise<MadeRoutesRecord | undefined> {
    return await readJsonFile(this.#file, record)
  }

  async write(entry: MadeRoutesRecord): Promise<void> {
    await makePrivateDirectory(this.#directory)
    await writeFileDurably(this.#file, JSON.stringify(entry))
  }

  async clear(): Promise<void> {
    await rm(this.#file, { force: true })
  }
}
