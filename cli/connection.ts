/** Where the server is and who we are: from the environment, or from what the server wrote at its start. */
import { readFile } from 'node:fs/promises'
import path from 'node:path'
import { readJsonFile, type Static, Type, validatorOf } from '../kit/index.ts'
import { cliErrors } from './errors.ts'

/** Where everything is kept unless `--data` says otherwise. */
const DEFAULT_DATA_DIRECTORY = '/var/lib/drover'

const adminSchema = Type.Object({
  url: Type.String(),
  tlsUrl: Type.String(),
  caFile: Type.String(),
  accessKey: Type.String(),
  secretKey: Type.String(),
  kubeconfig: Type.String(),
})

/** `DIR/admin.json`. */
export type AdminFile = Static<typeof adminSchema>

const adminFile = validatorOf(adminSchema)

/** How to reach the API. */
export interface ServerConnection {
  readonly url: string
  readonly accessKey: string
  readonly secretKey: string
  /** PEM; absent for plain http, or a server whose certificate is publicly trusted. */
  readonly authority?: string
}

export function dataDirectory(option: string | undefined): string {
  return path.resolve(option ?? process.env.DROVER_DATA ?? DEFAULT_DATA_DIRECTORY)
}

/** What the server in `directory` wrote; undefined when there is none. */
export async function readAdminFile(directory: string): Promise<AdminFile | undefined> {
  return await readJsonFile(path.join(directory, 'admin.json'), adminFile)
}

/** @throws `NotConfigured` */
export async function findServer(dataOption: string | undefined): Promise<ServerConnection> {
  const { DROVER_URL, DROVER_ACCESS_KEY, DROVER_SECRET_KEY, DROVER_CA_FILE } = process.env
  if (DROVER_URL !== undefined && DROVER_ACCESS_KEY !== undefined && DROVER_SECRET_KEY !== undefined) {
    return {
      url: DROVER_URL,
      accessKey: DROVER_ACCESS_KEY,
      secretKey: DROVER_SECRET_KEY,
      ...(DROVER_CA_FILE === undefined ? {} : { authority: await readFile(DROVER_CA_FILE, 'utf8') }),
    }
  }
  return await localServer(dataDirectory(dataOption))
}

/** The server that keeps its data in `directory`. @throws `NotConfigured` */
export async function localServer(directory: string): Promise<ServerConnection> {
  const admin = await readAdminFile(directory)
  if (admin === undefined) throw cliErrors.NotConfigured({ object: directory })
  return {
    url: admin.tlsUrl,
    accessKey: admin.accessKey,
    secretKey: admin.secretKey,
    authority: await readFile(admin.caFile, 'utf8'),
  }
}
