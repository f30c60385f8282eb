import { request } from 'node:http'
import path from 'node:path'
import t, { type Test } from 'tap'
import { createLogger, HttpListener } from '../../../../kit/index.ts'
import { REGISTRATION_USER } from '../../../../protocol/index.ts'
import { type ApiContext, DroverApi } from '../../../../server/api/index.ts'
import {
  Authenticator,
  createCredentials,
  hashSecret,
  RegistrationTokens,
  ServerKey,
} from '../../../../server/auth/index.ts'
import { kubernetesIdentity } from '../../../../server/kubernetes-identity.ts'
import { COMPONENT_GROUPS, MASTERS_GROUP, NODES_GROUP } from '../../../../server/master/index.ts'
import type { ApiKeyRole } from '../../../../server/model/index.ts'
import { makeCluster } from '../metadata/world.ts'
import { temporaryModel } from '../temporary-model.ts'

const log = createLogger('test', 'silent')

async function world(test: Test) {
  const { model, directory } = await temporaryModel(test)
  const tokens = new RegistrationTokens(
    model,
    await ServerKey.load(path.join(directory, 'key')),
    'ab'.repeat(32),
  )
  const authenticator = new Authenticator(model, tokens)
  const { cluster: one, host } = await makeCluster(model, 'one')
  const { cluster: two } = await makeCluster(model, 'two')
  /** A pair as clients send it. */
  const key = async (role: ApiKeyRole) => {
    const { accessKey, secretKey } = createCredentials()
    const { id } = await model.apiKeys.create({
      ...{
        name: 'k',
        state: 'active' as const,
        publicValue: accessKey,
        secretHash: hashSecret(secretKey),
        role,
      },
    })
    return { id, pair: `${accessKey}:${secretKey}` }
  }
  const agent = await key({ kind: 'agent', hostId: host.id, clusterId: one.id })
  const registration = tokens.text(await tokens.issue(one.id, 60_000))
  return { model, authenticator, one, two, host, admin: await key({ kind: 'admin' }), agent, registration }
}

t.test('in the Kubernetes API of a cluster', async t => {
  const { model, authenticator, one, two, host, admin, agent, registration } = await world(t)
  const who = (cluster: string, bearerToken: string) =>
    kubernetesIdentity(authenticator, model, cluster, { bearerToken })
  for (const { id } of [one, two]) t.match(await who(id, admin.pair), { groups: [MASTERS_GROUP] })
  t.match(await who(one.id, agent.pair), { user: `system:node:${host.nodeName}`, groups: [NODES_GROUP] })
  t.equal(await who(two.id, agent.pair), undefined, 'a host is nobody in another cluster')
  t.match(await who(one.id, authenticator.componentToken('netes')), {
    user: 'system:drover:netes',
    groups: [COMPONENT_GROUPS.netes],
  })
  for (const wrong of ['', 'x', `${admin.pair}x`, `${admin.pair.split(':')[0]}:`, `x${agent.pair}`])
    t.equal(await who(one.id, wrong), undefined, 'no credentials')
  t.equal(await who(one.id, `${REGISTRATION_USER}:${registration}`), undefined, 'who may register is no node')

  await model.hosts.delete(host.id)
  t.equal(await who(one.id, agent.pair), undefined, 'one that is gone is nobody')
  await model.apiKeys.update(admin.id, current => ({ ...current, state: 'inactive' as const }))
  t.equal(await who(one.id, admin.pair), undefined, 'nor whose key does not count any more')
})

/** What the resources shown here ask besides the model. */
const services = {
  hostReports: { networkReport: () => undefined, runtimeReport: () => undefined },
  registrationTokens: { text: () => 'a token' },
  advertisedUrl: 'https://drover.test',
}

t.test('in the API of Drover', async t => {
  const { model, authenticator, admin, agent, registration } = await world(t)
  const api = new DroverApi({ ...services, model } as unknown as ApiContext, authenticator, log)
  const listener = new HttpListener({
    name: 'test',
    host: '127.0.0.1',
    port: 0,
    onRequest: (incoming, response) => void api.handle(incoming, response, true),
  })
  await listener.start()
  t.teardown(() => listener.stop())
  const ask = (target: string, headers: Readonly<Record<string, string>>) =>
    new Promise<{ status: number; text: string }>((resolve, reject) => {
      const outgoing = request({ host: '127.0.0.1', port: listener.port, path: target, headers }, answer => {
        let text = ''
        answer.setEncoding('utf8').on('data', (chunk: string) => {
          text += chunk
        })
        answer.on('end', () => resolve({ status: answer.statusCode ?? 0, text }))
      })
      outgoing.on('error', reject)
      outgoing.end()
    })
  const basic = (pair: string) => `Basic ${Buffer.from(pair).toString('base64')}`
  const plurals = ['apikeys', 'hosts', 'registrationtokens', 'clusters', 'networks', 'projects']
  for (const plural of plurals) {
    const { status, text } = await ask(`/v3/${plural}`, { authorization: basic(admin.pair) })
    t.equal(status, 200, plural)
    for (const name of ['secretHash', 'keyHash', 'sealedKey']) t.notMatch(text, name, `${plural}: no ${name}`)
    t.equal((await ask(`/v3/${plural}`, { authorization: basic(agent.pair) })).status, 403, 'not for hosts')
    const joining = basic(`${REGISTRATION_USER}:${registration}`)
    t.equal((await ask(`/v3/${plural}`, { authorization: joining })).status, 403, 'nor for who may register')
    t.equal((await ask(`/v3/${plural}`, {})).status, 401)
    const cookie = `authorization=${encodeURIComponent(basic(admin.pair))}; token=${admin.pair}`
    t.equal((await ask(`/v3/${plural}`, { cookie })).status, 401, 'nothing that a browser sends by itself')
    t.equal((await ask(`/v3/${plural}?token=${admin.pair}`, {})).status, 401, 'nor what stands in addresses')
  }
})
