/** API keys: an access key and a secret key that is shown once. */
import { createCredentials, hashSecret } from '../../auth/index.ts'
import type { ApiKey, Model } from '../../model/index.ts'
import type { ResourceType } from '../resource-type.ts'

export function apiKeyType(model: Model): ResourceType<'apiKey'> {
  /** Secrets of keys that were made just now, until their answer is written. */
  const secrets = new WeakMap<ApiKey, string>()
  return {
    type: 'apiKey',
    kind: 'apiKey',
    plural: 'apikeys',
    fields: {
      name: { type: 'string', create: true, required: true, minLength: 1, maxLength: 255 },
      publicValue: { type: 'string' },
      secretValue: { type: 'string' },
      role: { type: 'enum', options: ['admin', 'agent'] },
    },
    show: key => ({ publicValue: key.publicValue, secretValue: null, role: key.role.kind }),
    create: async input => {
      const { accessKey, secretKey } = createCredentials()
      const key = await model.apiKeys.create({
        name: String(input.name),
        ...(typeof input.description === 'string' ? { description: input.description } : {}),
        state: 'active',
        publicValue: accessKey,
        secretHash: hashSecret(secretKey),
        role: { kind: 'admin' },
      })
      secrets.set(key, secretKey)
      return key
    },
    showOnce: key => ({ secretValue: secrets.get(key) ?? null }),
    remove: async key => {
      await model.apiKeys.delete(key.id)
      return { ...key, state: 'inactive' }
    },
  }
}
