/** A host whose pods a kubelet runs: told what to do, brought in by a certificate, kept running, and taken off again. */
import path from 'node:path'
import t from 'tap'
import { DATA, Fleet, until } from '../../lab/fleet.ts'
import { inPrivateNetwork } from '../../lab/private-network.ts'
import { missingKubectl } from '../master/kubectl.ts'

const skip = (await missingKubectl()) || inPrivateNetwork(import.meta.filename)

t.setTimeout(300_000)

const PROGRAM = '/opt/bin/kubelet'
const STAND_IN = path.resolve(import.meta.dirname, 'stand-in-kubelet.ts')
const KUBELET = `${DATA}/agent/kubelet`

const pod = (name: string, nodeName: string) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name },
  spec: {
    nodeName,
    terminationGracePeriodSeconds: 0,
    automountServiceAccountToken: false,
    containers: [
      {
        name: 'main',
        image: 'drover/busybox:1',
        command: [
          'sh',
          '-c',
          `mkdir /www; echo ${name} > /www/index.html; echo up; httpd -f -p 8080 -h /www`,
        ],
      },
    ],
  },
})

t.test('a kubelet runs the pods of a host', { skip, timeout: 280_000 }, async t => {
  const fleet = await Fleet.start(t, 'kubelet', 2)
  const host = await fleet.join(2)
  const kubectl = async (...args: readonly string[]) => (await fleet.kubectl(args)).stdout
  const shell = async (script: string) =>
    (await host.run('sh', ['-c', script], { acceptedExitCodes: [0, 1, 2] })).stdout.trim()
  const agentPid = async () => Number(await shell(`cat ${DATA}/agent/agent.lock`))
  const kubeletPid = async () => Number((await shell(`cat ${KUBELET}/process 2> /dev/null`)).split(' ')[0])
  // One that nobody has waited for has ended, too.
  const runs = async (pid: number) =>
    (await shell(`grep -c '^State:[[:space:]]*[^Z[:space:]]' /proc/${pid}/status 2> /dev/null`)) === '1'
  const signal = async (pid: number, name: string) =>
    await host.run('busybox', ['kill', `-${name}`, String(pid)])
  const startAgent = (...args: readonly string[]) =>
    host.start('./drover', ['agent', '--address', host.address, ...args], 'agent')
  const hosts = async () =>
    (await fleet.drover(['hosts'])).stdout.split('\n').find(line => line.includes('h2')) ?? ''
  const says = async (what: string, pattern: RegExp) => {
    let last = ''
    await until(what, 40_000, async () => {
      last = await hosts()
      return pattern.test(last)
    }).catch(error => {
      throw new Error(`${what}: ${last}`, { cause: error })
    })
  }
  const install = async (program: string) => {
    await host.run('sh', ['-c', `mkdir -p /opt/bin; cat > ${PROGRAM}; chmod 755 ${PROGRAM}`], {
      input: program,
    })
  }
  const running = (name: string) =>
    until(
      `${name} runs`,
      60_000,
      async () => (await kubectl('get', 'pod', name, '-o', 'jsonpath={.status.phase}')) === 'Running',
    )
  const apply = (object: object) => fleet.kubectl(['apply', '-f', '-'], { input: JSON.stringify(object) })
  const containers = async (format: string) =>
    await shell(`docker ps --filter label=io.kubernetes.pod.namespace=default --format '${format}'`)

  t.match(await hosts(), /\sbuiltin/)
  await apply(pod('before', 'h2'))
  await apply(pod('near', 'h1'))
  await running('before')
  await running('near')

  await t.test('what is missing is said', async t => {
    const builtin = await agentPid()
    await signal(builtin, 'TERM')
    await until('the agent has ended', 20_000, async () => !(await runs(builtin)))
    startAgent('--runtime', 'kubelet')
    await says('there is no kubelet', /kubelet \(kubelet: is not on this host/)
    t.equal(await containers('{{.ID}}'), '', 'what the agent ran itself is ended')
    await install('#!/bin/sh\necho no-such-option >&2\nexit 7\n')
    await says('there is no container runtime', /no container runtime answers/)
    await host.run('touch', ['/run/cri-dockerd.sock'])
    await says('it ends at once', /ended \(exit code 7\): no-such-option/)
  })

  await t.test('it joins, and its pods run', async t => {
    await install(
      `#!/bin/sh\nexec ${process.execPath} --disable-warning=ExperimentalWarning ${STAND_IN} "$@"\n`,
    )
    await running('before')
    await says('nothing is in the way', /\skubelet\s*$/)
    t.match(await kubectl('get', 'node', 'h2'), /h2\s+Ready\s.*stand-in/)
    t.match(await kubectl('get', 'csr'), /kubelet-serving\s+system:node:h2\s.*Approved,Issued/)
    t.match(await kubectl('get', 'csr'), /kube-apiserver-client-kubelet\s+system:node:h2\s.*Approved,Issued/)
    t.notMatch(await shell(`cat ${KUBELET}/kubeconfig`), 'token')
    t.match(await shell(`stat -c '%a' ${KUBELET}/bootstrap.kubeconfig`), '600')
    await apply(pod('web', 'h2'))
    await running('web')
  })

  await t.test('they are on the network, and Drover sees them', async t => {
    const [web, near] = [
      await kubectl('get', 'pod', 'web', '-o', 'jsonpath={.status.podIP}'),
      await kubectl('get', 'pod', 'near', '-o', 'jsonpath={.status.podIP}'),
    ]
    t.match(web, /^10\.42\./)
    const ask = (name: string, url: string) =>
      kubectl('exec', name, '--', 'timeout', '5', 'wget', '-q', '-O', '-', url)
    await until('a pod of another host answers it', 20_000, async () => {
      const { stdout } = await fleet.kubectl(
        ['exec', 'web', '--', 'timeout', '5', 'wget', '-q', '-O', '-', `http://${near}:8080/`],
        { acceptedExitCodes: [0, 1, 143] },
      )
      return stdout === 'near\n'
    })
    t.equal(await ask('near', `http://${web}:8080/`), 'web\n')
    t.equal(await kubectl('logs', 'web'), 'up\n')
    const self = await until('metadata know it', 20_000, async () => {
      const url = 'http://169.254.169.250/latest/self/container/primary_ip'
      const { stdout } = await fleet.kubectl(
        ['exec', 'web', '--', 'timeout', '5', 'wget', '-q', '-O', '-', url],
        { acceptedExitCodes: [0, 1, 143] },
      )
      return stdout
    })
    t.equal(self, web)
    const seen = (await fleet.list('containers')).filter(({ primaryIpAddress }) => primaryIpAddress === web)
    t.ok(seen.length > 0, 'as a container')
  })

  await t.test('it is started again, and its pods go on', async t => {
    const before = await containers('{{.ID}}')
    const first = await kubeletPid()
    await signal(first, 'KILL')
    await until('another runs', 40_000, async () => {
      const pid = await kubeletPid()
      return pid !== first && (await runs(pid))
    })
    t.equal(await containers('{{.ID}}'), before)
  })

  await t.test('an agent that was killed leaves one behind, which the next one replaces', async t => {
    const [agent, first] = [await agentPid(), await kubeletPid()]
    await signal(agent, 'KILL')
    t.ok(await runs(first))
    startAgent()
    await until('another runs', 40_000, async () => {
      const pid = await kubeletPid()
      return pid !== first && (await runs(pid)) && !(await runs(first))
    })
    await says('the choice is remembered', /\skubelet\s*$/)
    t.match(await kubectl('get', 'pods'), /web\s+1\/1\s+Running/)
  })

  await t.test('a pod goes', async t => {
    await kubectl('delete', 'pod', 'web', '--timeout=30s')
    await until('it is gone', 20_000, async () => !(await containers('{{.Names}}')).includes('web'))
    t.match(await containers('{{.Names}}'), 'before')
  })

  await t.test('it ends with its agent', async t => {
    const [agent, kubelet] = [await agentPid(), await kubeletPid()]
    await signal(agent, 'TERM')
    await until('both have ended', 60_000, async () => !(await runs(agent)) && !(await runs(kubelet)))
    t.match(await containers('{{.Names}}'), 'before', 'pods go on')
  })

  await t.test('nothing stays', async t => {
    t.equal(await shell('ls /etc/cni/net.d /opt/cni/bin').then(text => text.includes('drover')), true)
    await host.run('./drover', ['agent', '--uninstall'], { deadline: 60_000 })
    t.notMatch(await shell('ls -A /etc/cni/net.d /opt/cni/bin'), 'drover')
    t.equal(await shell(`ls ${DATA}/agent 2> /dev/null`), '')
    t.equal(await containers('{{.Names}}'), '')
  })
})
