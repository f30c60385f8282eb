/** Objects that pods refer to: read, remembered, and tokens. */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import t from 'tap'
import { AccountTokens } from '../../../../agent/runtime/account-tokens.ts'
import { PodObjects } from '../../../../agent/runtime/pod-objects.ts'
import { createLogger } from '../../../../kit/index.ts'
import { kubernetesErrors, type Pod } from '../../../../protocol/kubernetes/index.ts'

const log = createLogger('test', 'silent')
const pod: Pod = {
  metadata: { name: 'p', namespace: 'n', uid: 'u' },
  spec: {
    containers: [
      { name: 'a', image: 'i', envFrom: [{ configMapRef: { name: 'c' } }, { secretRef: { name: 's' } }] },
    ],
    volumes: [
      { name: 'd', persistentVolumeClaim: { claimName: 'claim' } },
      {
        name: 't',
        projected: { sources: [{ serviceAccountToken: { path: 'token', expirationSeconds: 600 } }] },
      },
    ],
  },
}
const OBJECTS: Record<string, object> = {
  '/api/v1/namespaces/n/configmaps/c': { metadata: { name: 'c' }, data: { open: 'yes' } },
  '/api/v1/namespaces/n/secrets/s': { metadata: { name: 's' }, data: { hidden: 'canary' } },
  '/api/v1/namespaces/n/persistentvolumeclaims/claim': {
    metadata: { name: 'claim' },
    spec: { volumeName: 'pv' },
    status: { phase: 'Bound' },
  },
  '/api/v1/persistentvolumes/pv': { metadata: { name: 'pv' }, spec: { hostPath: { path: '/data' } } },
}

t.test('objects are read, kept, and remembered without a server', async t => {
  const directory = await mkdtemp(path.join(tmpdir(), 'pod-objects-'))
  t.teardown(() => rm(directory, { recursive: true }))
  const options = (get: (target: string) => object) => ({
    client: { get: async (target: string) => get(target) } as never,
    diskOf: (uid: string) => path.join(directory, 'disk', uid),
    memoryOf: (uid: string) => path.join(directory, 'memory', uid),
    onChange: () => {},
    log,
  })
  const inputs = await new PodObjects(options(target => OBJECTS[target] ?? {})).of(pod, 'container')
  t.equal(inputs.configMap('c', false)?.data?.open, 'yes')
  t.strictSame(inputs.claim('claim'), { path: '/data' })
  const text = await readFile(path.join(directory, 'disk/u/objects.json'), 'utf8')
  t.notMatch(text, /canary/, 'secrets are in memory alone')
  const away = new PodObjects(
    options(() => {
      throw kubernetesErrors.ApiUnreachable({ object: 'api' })
    }),
  )
  t.equal((await away.of(pod, 'container')).secret('s', false)?.data?.hidden, 'canary')
  await rm(path.join(directory, 'memory'), { recursive: true })
  await t.rejects(away.of(pod, 'container'), { code: 'ApiUnreachable' }, 'after a reboot')
})

t.test('a pod sees what was changed before it was made, and its containers share the questions', async t => {
  const directory = await mkdtemp(path.join(tmpdir(), 'pod-objects-'))
  t.teardown(() => rm(directory, { recursive: true }))
  let version = 0
  const asked: string[] = []
  const objects = new PodObjects({
    client: {
      get: async (target: string) => {
        asked.push(target)
        return { metadata: { name: 'c' }, data: { version: String(version) } }
      },
    } as never,
    diskOf: uid => path.join(directory, 'disk', uid),
    memoryOf: uid => path.join(directory, 'memory', uid),
    onChange: () => {},
    log,
  })
  const user = (uid: string): Pod => ({
    metadata: { name: uid, namespace: 'n', uid },
    spec: { containers: [{ name: 'a', image: 'i', envFrom: [{ configMapRef: { name: 'c' } }] }] },
  })
  const seen = async (uid: string) =>
    (await objects.of(user(uid), 'container')).configMap('c', false)?.data?.version
  t.equal(await seen('first'), '0')
  version = 1
  t.equal(await seen('first'), '0', 'its next container')
  t.equal(asked.length, 1)
  t.equal(await seen('second'), '1')
  t.equal(asked.length, 2)
})

t.test('tokens are asked for, renewed in time, and kept while they are valid', async t => {
  const asked: unknown[] = []
  let life = 600_000
  let fails = false
  const client = {
    create: async (target: string, body: unknown) => {
      if (fails) throw kubernetesErrors.ApiUnreachable({ object: 'api' })
      asked.push([target, body])
      return {
        status: {
          token: `token-${asked.length}`,
          expirationTimestamp: new Date(Date.now() + life).toISOString(),
        },
      }
    },
  }
  const tokens = new AccountTokens(client as never, log)
  t.strictSame([...(await tokens.of(pod)).values()], ['token-1'])
  t.match(asked[0], [
    '/api/v1/namespaces/n/serviceaccounts/default/token',
    { spec: { expirationSeconds: 600, boundObjectRef: { kind: 'Pod', name: 'p', uid: 'u' } } },
  ])
  await tokens.of(pod)
  t.equal(asked.length, 1)
  tokens.forget('u')
  life = 0
  await tokens.of(pod)
  await tokens.of(pod)
  t.equal(asked.length, 3, 'one whose time is over is renewed')
  fails = true
  await t.rejects(tokens.of(pod), { code: 'ApiUnreachable' })
  t.strictSame([...(await tokens.of({ ...pod, spec: { containers: [] } }))], [])
})
