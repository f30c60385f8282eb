/** The administrator's credentials and kubeconfig, written where the command line finds them. */
import path from 'node:path'
import { readJsonFile, type Static, Type, validatorOf, writeFileDurably } from '../kit/index.ts'
import { formatKubeconfig } from '../protocol/kubernetes/index.ts'
import { createCredentials, hashSecret } from './auth/index.ts'
import type { Model } from './model/index.ts'

const adminSchema = Type.Object({
  url: Type.String(),
  tlsUrl: Type.String(),
  caFile: Type.String(),
  accessKey: Type.String(),
  secretKey: Type.String(),
  kubeconfig: Type.String(),
})

const adminFile = validatorOf(adminSchema)

export interface AdminAccessOptions {
  readonly directory: string
  readonly url: string
  readonly tlsUrl: string
  readonly authorityFile: string
  /** PEM. */
  readonly authority: string
  readonly model: Model
}

/** The credentials that were written before, if they are still valid. */
async function presentCredentials(
  file: string,
  model: Model,
): Promise<Pick<Static<typeof adminSchema>, 'accessKey' | 'secretKey'> | undefined> {
  const present = await readJsonFile(file, adminFile).catch(() => undefined)
  if (present === undefined) return undefined
  const key = model.apiKeys.find('publicValue', present.accessKey)
  return key?.secretHash === hashSecret(present.secretKey) ? present : undefined
}

/** Writes `admin.json` and `kubeconfig` (mode 0600), with an API key that is made when there is none. */
export async function writeAdminAccess(options: AdminAccessOptions): Promise<void> {
  const { directory, url, tlsUrl, authorityFile, authority, model } = options
  const file = path.join(directory, 'admin.json')
  const kubeconfig = path.join(directory, 'kubeconfig')
  let credentials = await presentCredentials(file, model)
  if (credentials === undefined) {
    credentials = createCredentials()
    await model.apiKeys.create({
      name: 'administrator',
      state: 'active',
      publicValue: credentials.accessKey,
      secretHash: hashSecret(credentials.secretKey),
      role: { kind: 'admin' },
    })
  }
  const { accessKey, secretKey } = credentials
  const cluster = model.clusters.find('name', 'default') ?? [...model.clusters.all()][0]
  if (cluster !== undefined) {
    await writeFileDurably(
      kubeconfig,
      formatKubeconfig({
        clusterName: cluster.name,
        url: `${tlsUrl}/k8s/clusters/${cluster.id}`,
        authority,
        bearerToken: `${accessKey}:${secretKey}`,
      }),
    )
  }
  const content: Static<typeof adminSchema> = {
    url,
    tlsUrl,
    caFile: authorityFile,
    accessKey,
    secretKey,
    kubeconfig,
  }
  await writeFileDurably(file, `${JSON.stringify(content, null, 2)}\n`)
}
