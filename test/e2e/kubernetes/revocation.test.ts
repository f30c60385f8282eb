/** What was opened with a key or a service account ends when that is taken away, on a real server. */
import t from 'tap'
import { DATA, Fleet, until } from '../../lab/fleet.ts'
import { inPrivateNetwork } from '../../lab/private-network.ts'
import { missingKubectl } from '../master/kubectl.ts'

const skip = (await missingKubectl()) || inPrivateNetwork(import.meta.filename)

t.test('revocation', { skip, timeout: 240_000 }, async t => {
  const fleet = await Fleet.start(t, 'revocation')
  const kubectl = async (...args: readonly string[]) => (await fleet.kubectl(args)).stdout
  const [{ id = '' } = {}] = await fleet.list('clusters')
  await fleet.first.run('sh', ['-c', 'echo "127.0.0.1 $1.k8s.localhost" >> /etc/hosts', 'sh', id])
  const server = `https://${id}.k8s.localhost:8443`
  const watchers = async () => {
    const text = await kubectl(`--server=${server}`, 'get', '--raw', '/metrics')
    const [, count] = /^apiserver_registered_watchers\{[^}]*kind="ConfigMap"\} (\d+)$/m.exec(text) ?? []
    return Number(count ?? 0)
  }
  const before = await watchers()
  /** Begins a watch by somebody. @returns what resolves when it has ended */
  const watch = async (token: string) => {
    const authority = ['--certificate-authority', `${DATA}/tls/ca.crt`]
    const who = ['--kubeconfig', '/dev/null', '--server', server, ...authority, '--token', token]
    const ended = fleet.first.run('kubectl', [...who, '-n', 'default', 'get', 'configmaps', '-w'], {
      acceptedExitCodes: [0, 1],
      deadline: 60_000,
    })
    await until('it watches', 20_000, async () => (await watchers()) > before)
    return { ended }
  }

  await t.test('of a key', async t => {
    const key = await fleet.api('POST', 'apikeys', { name: 'revoked' })
    const { ended } = await watch(`${key.publicValue}:${key.secretValue}`)
    await fleet.api('DELETE', `apikeys/${key.id}`)
    await ended
    t.equal(await watchers(), before)
  })

  await t.test('of a service account', async t => {
    await kubectl('create', 'serviceaccount', 'robot')
    await kubectl('create', 'rolebinding', 'robot', '--clusterrole=view', '--serviceaccount=default:robot')
    const { ended } = await watch((await kubectl('create', 'token', 'robot')).trim())
    await kubectl('delete', 'rolebinding', 'robot')
    await ended
    t.equal(await watchers(), before)
  })
})
