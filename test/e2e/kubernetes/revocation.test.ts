/** What was opened with a key or a service account ends when that is taken away, on a real server. */
import { readFile } from 'node:fs/promises'
import path from 'node:path'
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

  await t.test('of a key, in a terminal and a log', async t => {
    const file = '/etc/shell.yml'
    await fleet.first.run('tee', [file], {
      input:
        'services:\n  web:\n    image: drover/busybox:1\n    command: ["sh", "-c", "echo started; sleep 1000"]\n    stop_grace_period: 0s\n',
    })
    await fleet.drover(['stack', 'up', '-f', file, '-s', 'shell'])
    const key = await fleet.api('POST', 'apikeys', { name: 'terminal' })
    const who = [
      'DROVER_URL=https://127.0.0.1:8443',
      `DROVER_CA_FILE=${DATA}/tls/ca.crt`,
      `DROVER_ACCESS_KEY=${key.publicValue}`,
      `DROVER_SECRET_KEY=${key.secretValue}`,
    ]
    const open = (name: string, ...command: string[]) => {
      const child = fleet.first.start('env', [...who, './drover', ...command], name)
      const output = () => readFile(path.join(fleet.first.directory, `${name}.log`), 'utf8')
      return { child, output }
    }
    const terminal = open('terminal', 'exec', 'shell-web-1', 'sh', '-c', 'echo there; sleep 900')
    const log = open('following', 'logs', '--follow', 'shell-web-1')
    // What has been sent something is open.
    await until('both are open', 20_000, async () =>
      [(await terminal.output()).includes('there'), (await log.output()).includes('started')].every(Boolean),
    )
    await fleet.api('DELETE', `apikeys/${key.id}`)
    for (const { child, output } of [terminal, log]) {
      await until('it ends', 20_000, () => Promise.resolve(child.exitCode !== null))
      t.match(await output(), /the API key was removed|Unauthorized/)
    }
    await fleet.drover(['stack', 'rm', 'shell'])
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
