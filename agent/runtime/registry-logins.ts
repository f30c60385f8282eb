/** Who may pull an image, from the secrets that a pod names. Pure. */
import { type Static, Type, validatorOf } from '../../kit/index.ts'
import type { Secret } from '../../protocol/kubernetes/index.ts'
import type { RegistryLogin } from '../docker/index.ts'

const entrySchema = Type.Object({
  auth: Type.Optional(Type.String({ maxLength: 8_192 })),
  username: Type.Optional(Type.String({ maxLength: 4_096 })),
  password: Type.Optional(Type.String({ maxLength: 4_096 })),
  identitytoken: Type.Optional(Type.String({ maxLength: 8_192 })),
})

const registriesSchema = Type.Record(Type.String({ maxLength: 1_024 }), entrySchema)
const configSchema = validatorOf(Type.Object({ auths: Type.Optional(registriesSchema) }))
const oldConfigSchema = validatorOf(registriesSchema)

const DEFAULT_REGISTRY = 'docker.io'

/** The registry of an image: what stands before the first slash, where that can be a host. */
export function registryOf(image: string): string {
  const [first = '', rest] = image.split(/\/(.*)/)
  return rest !== undefined && (/[.:]/.test(first) || first === 'localhost') ? first : DEFAULT_REGISTRY
}

function isFor(key: string, registry: string): boolean {
  const host = key.replace(/^https?:\/\//, '').split('/')[0] ?? ''
  const known = host === 'index.docker.io' || host === 'registry-1.docker.io' ? DEFAULT_REGISTRY : host
  if (known === registry) return true
  // `*.example.com` stands for one label.
  return known.startsWith('*.') && registry.split('.').slice(1).join('.') === known.slice(2)
}

function loginOf(entry: Static<typeof entrySchema>, serveraddress: string): RegistryLogin {
  const [username = '', password = ''] = Buffer.from(entry.auth ?? '', 'base64')
    .toString('utf8')
    .split(/:(.*)/s)
  return {
    username: entry.username ?? username,
    password: entry.password ?? password,
    serveraddress,
    ...(entry.identitytoken === undefined ? {} : { identitytoken: entry.identitytoken }),
  }
}

function registriesIn({ type, data }: Secret): Readonly<Record<string, Static<typeof entrySchema>>> {
  const [key, isOld] =
    type === 'kubernetes.io/dockercfg'
      ? (['.dockercfg', true] as const)
      : (['.dockerconfigjson', false] as const)
  try {
    const value: unknown = JSON.parse(Buffer.from(data?.[key] ?? '', 'base64').toString('utf8'))
    return isOld ? oldConfigSchema.parse(value, key) : (configSchema.parse(value, key).auths ?? {})
  } catch {
    // Whoever made the secret sees that the pull is refused; its text is nobody's to log.
    return {}
  }
}

/** Logins for an image's registry, in the order of the secrets. */
export function loginsOf(image: string, secrets: readonly Secret[]): readonly RegistryLogin[] {
  const registry = registryOf(image)
  return secrets.flatMap(secret =>
    Object.entries(registriesIn(secret))
      .filter(([key]) => isFor(key, registry))
      .map(([key, entry]) => loginOf(entry, key)),
  )
}
