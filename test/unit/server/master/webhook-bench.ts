/** A master with a webhook server, for the tests of admission webhooks. */
import type { Test } from 'tap'
import { type RequestOptions, type TemporaryMaster, temporaryMaster } from './temporary-master.ts'
import { WebhookServer } from './webhook-server.ts'

export const CONFIGURATIONS = '/apis/admissionregistration.k8s.io/v1'
export const MAPS = '/api/v1/namespaces/default/configmaps'

export interface Bench {
  readonly master: TemporaryMaster
  readonly hooks: WebhookServer
  post(path: string, body: unknown, options?: RequestOptions): ReturnType<TemporaryMaster['ask']>
  /** Makes a configuration and waits until it is in force. */
  configure(kind: 'Mutating' | 'Validating', name: string, ...webhooks: object[]): Promise<void>
  webhook(name: string, path: string, special?: object): object
}

export async function bench(t: Test): Promise<Bench> {
  const hooks = await WebhookServer.start(t)
  const master = await temporaryMaster(t, { connectToPod: hooks.connectToPod })
  await hooks.install(master)
  const post: Bench['post'] = (path, body, options) => master.ask(path, { method: 'POST', body, ...options })
  return {
    master,
    hooks,
    post,
    async configure(kind, name, ...webhooks) {
      const made = await post(`${CONFIGURATIONS}/${kind.toLowerCase()}webhookconfigurations`, {
        metadata: { name },
        webhooks,
      })
      t.equal(made.status, 201, made.text)
      t.equal(made.headers.warning, undefined)
    },
    webhook: (webhook, path, special = {}) => ({
      name: webhook,
      clientConfig: hooks.clientConfig(path),
      rules: [
        {
          operations: ['*'],
          apiGroups: [''],
          apiVersions: ['v1'],
          resources: ['configmaps', 'configmaps/*'],
        },
      ],
      sideEffects: 'None',
      admissionReviewVersions: ['v1beta1', 'v1'],
      ...special,
    }),
  }
}

export function map(name: string, data: object = {}, metadata: object = {}) {
  return { metadata: { name, ...metadata }, data }
}
