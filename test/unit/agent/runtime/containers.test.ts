/** What containers may do, how much they matter, what probes say, who may pull. */
import t from 'tap'
import { endingNow } from '../../../../agent/runtime/container-life.ts'
import type { ContainerView } from '../../../../agent/runtime/pod-view.ts'
import { NOT_PROBED, nextState } from '../../../../agent/runtime/probe-state.ts'
import { oomScore, qosClassOf } from '../../../../agent/runtime/quality-of-service.ts'
import { loginsOf, registryOf } from '../../../../agent/runtime/registry-logins.ts'
import {
  effectiveSecurity,
  requireNonRoot,
  securityOptions,
  userOf,
} from '../../../../agent/runtime/security-options.ts'
import type { Container, Pod, PodSpec } from '../../../../protocol/kubernetes/index.ts'

const podOf = (spec: Partial<PodSpec>, container: Partial<Container> = {}): Pod => ({
  metadata: { name: 'p', namespace: 'n' },
  spec: { containers: [{ name: 'a', image: 'i', ...container }], ...spec },
})
const first = ({ spec }: Pod) => spec.containers[0] as Container

t.test('security: the word of the container counts', async t => {
  const pod = podOf(
    { securityContext: { runAsUser: 1, runAsGroup: 2, fsGroup: 3, supplementalGroups: [3, 4] } },
    {
      securityContext: {
        runAsUser: 5,
        allowPrivilegeEscalation: false,
        seccompProfile: { type: 'Unconfined' },
      },
    },
  )
  const security = effectiveSecurity(pod, first(pod))
  t.strictSame(userOf(security, ''), { User: '5:2' })
  t.match(securityOptions(pod, security, undefined), {
    GroupAdd: ['3', '4'],
    SecurityOpt: ['no-new-privileges', 'seccomp=unconfined'],
  })
  t.strictSame(userOf({ runAsGroup: 7 }, '1000:1000'), { User: '1000:7' })
  t.strictSame(userOf({}, ''), {})
})

t.test('security: root where it must not be', async t => {
  const pod = podOf({ securityContext: { runAsNonRoot: true } })
  for (const user of ['', 'root', '0:0', 'somebody'])
    t.throws(() => requireNonRoot(pod, first(pod), user), { code: 'InvalidPod' })
  requireNonRoot(pod, first(pod), '1000')
  const zero = podOf({ securityContext: { runAsNonRoot: true, runAsUser: 0 } })
  t.throws(() => requireNonRoot(zero, first(zero), '1000'), { message: /breaks non-root policy/ })
})

t.test('quality of service', async t => {
  const both = { cpu: '1', memory: '512Mi' }
  t.equal(qosClassOf(podOf({})), 'BestEffort')
  t.equal(qosClassOf(podOf({}, { resources: { limits: both } })), 'Guaranteed')
  t.equal(qosClassOf(podOf({}, { resources: { limits: both, requests: { cpu: '500m' } } })), 'Burstable')
  t.equal(qosClassOf(podOf({}, { resources: { requests: { cpu: '1' } } })), 'Burstable')
  const half = podOf({}, { resources: { requests: { memory: '512Mi' } } })
  t.strictSame(oomScore(half, first(half), 2 ** 30), { OomScoreAdj: 500 })
  t.strictSame(oomScore(podOf({}), first(podOf({})), 1), { OomScoreAdj: 1000 })
})

t.test('probes: as often in a row as they say', async t => {
  const probe = { successThreshold: 2, failureThreshold: 3 }
  const after = (...outcomes: boolean[]) =>
    outcomes.reduce((state, outcome) => nextState(state, outcome, probe), NOT_PROBED).verdict
  t.equal(after(true), 'unknown')
  t.equal(after(true, true), 'success')
  t.equal(after(true, true, false, false), 'success')
  t.equal(after(true, true, false, false, true, false, false), 'success')
  t.equal(after(true, true, false, false, false), 'failure')
  t.equal(after(false, false, false, true), 'failure')
})

t.test('registries and logins', async t => {
  t.strictSame(['nginx', 'library/nginx', 'r.example/x', 'localhost/x', 'h:5000/x/y'].map(registryOf), [
    'docker.io',
    'docker.io',
    'r.example',
    'localhost',
    'h:5000',
  ])
  const secret = (auths: object) => ({
    metadata: { name: 's' },
    type: 'kubernetes.io/dockerconfigjson',
    data: { '.dockerconfigjson': Buffer.from(JSON.stringify({ auths })).toString('base64') },
  })
  const auth = Buffer.from('me:pass:word').toString('base64')
  t.match(
    loginsOf('r.example/x', [secret({ 'https://r.example/v1/': { auth }, 'other.example': { auth } })]),
    [{ username: 'me', password: 'pass:word', serveraddress: 'https://r.example/v1/' }],
  )
  t.equal(loginsOf('r.example/x', [secret({ '*.example': { auth } })]).length, 1)
  t.equal(
    loginsOf('nginx', [secret({ 'https://index.docker.io/v1/': { username: 'u', password: 'p' } })]).length,
    1,
  )
  t.strictSame(
    loginsOf('nginx', [{ metadata: { name: 's' }, data: { '.dockerconfigjson': 'bm9uc2Vuc2U=' } }]),
    [],
  )
})

t.test('the order in which a pod ends', async t => {
  const sidecar = (name: string) => ({ name, image: 'i', restartPolicy: 'Always' as const })
  const pod = podOf({ initContainers: [sidecar('one'), sidecar('two')] })
  const run = (name: string) => ({ name }) as ContainerView
  const names = (list: readonly ContainerView[]) => list.map(({ name }) => name)
  const all = ['one', 'a', 'two'].map(run)
  t.strictSame(names(endingNow(pod, all, 1)), ['a'])
  t.strictSame(names(endingNow(pod, [run('one'), run('two')], 1)), ['two'])
  t.strictSame(names(endingNow(pod, all, 0)), ['one', 'a', 'two'])
  t.strictSame(names(endingNow(undefined, all, 1)), ['one', 'a', 'two'])
})
