/** A chart with a kind of its own and hooks, installed, upgraded, tested, rolled back and removed by the real helm, on three hosts. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import t from 'tap'
import { stringify } from 'yaml'
import { DATA, Fleet } from '../../lab/fleet.ts'
import { missingHelm, unpackTools } from '../../lab/helm.ts'
import { inPrivateNetwork } from '../../lab/private-network.ts'
import { missingKubectl } from '../master/kubectl.ts'

const skip = (await missingKubectl()) || missingHelm() || inPrivateNetwork(import.meta.filename)

t.setTimeout(300_000)

const definition = {
  apiVersion: 'apiextensions.k8s.io/v1',
  kind: 'CustomResourceDefinition',
  metadata: { name: 'sites.example.com' },
  spec: {
    group: 'example.com',
    scope: 'Namespaced',
    names: { plural: 'sites', kind: 'Site' },
    versions: [
      {
        name: 'v1',
        served: true,
        storage: true,
        schema: {
          openAPIV3Schema: {
            type: 'object',
            properties: { spec: { type: 'object', properties: { title: { type: 'string' } } } },
          },
        },
      },
    ],
  },
}

/** A Job that helm waits for. @param command of a shell; what the pods of the chart mount is at /set */
function hookJob(when: string, command: string): string {
  return `apiVersion: batch/v1
kind: Job
metadata:
  name: {{ .Release.Name }}-${when}
  annotations:
    helm.sh/hook: ${when}
    helm.sh/hook-delete-policy: before-hook-creation,hook-succeeded
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      terminationGracePeriodSeconds: 0
      volumes:
        - name: set
          configMap: {name: {{ .Release.Name }}-before, optional: true}
      containers:
        - name: main
          image: drover/busybox:1
          command: ["sh", "-c", ${JSON.stringify(command)}]
          volumeMounts:
            - {name: set, mountPath: /set}
`
}

/** Asks the service of the release until it answers, for a while. */
const ASK =
  'for _ in $(seq 100); do wget -q -O - http://{{ .Release.Name }}/ && exit 0; sleep 0.1; done; exit 1'

const FILES: Readonly<Record<string, string>> = {
  'Chart.yaml': 'apiVersion: v2\nname: site\nversion: 0.1.0\n',
  'values.yaml': 'title: first\nreplicas: 1\n',
  'crds/site.yaml': stringify(definition),
  'templates/site.yaml': `apiVersion: example.com/v1
kind: Site
metadata:
  name: {{ .Release.Name }}
spec:
  title: {{ .Values.title | quote }}
`,
  'templates/settings.yaml': `apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}
  labels:
    app.kubernetes.io/managed-by: {{ .Release.Service }}
data:
  title: {{ .Values.title | quote }}
`,
  'templates/deployment.yaml': `apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .Release.Name }}
spec:
  replicas: {{ .Values.replicas }}
  selector:
    matchLabels: {app: {{ .Release.Name }}}
  template:
    metadata:
      labels: {app: {{ .Release.Name }}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
        - name: main
          image: drover/busybox:1
          command: ["sh", "-c", "mkdir /www; echo {{ .Values.title }} > /www/index.html; httpd -f -p 8080 -h /www"]
          readinessProbe:
            httpGet: {path: /, port: 8080}
            periodSeconds: 1
`,
  'templates/service.yaml': `apiVersion: v1
kind: Service
metadata:
  name: {{ .Release.Name }}
spec:
  selector: {app: {{ .Release.Name }}}
  ports:
    - {port: 80, targetPort: 8080}
`,
  // Of two hooks of the same time, the lighter one comes first.
  'templates/before-settings.yaml': `apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}-before
  annotations:
    helm.sh/hook: pre-install,pre-upgrade
    helm.sh/hook-weight: "-5"
    helm.sh/hook-delete-policy: before-hook-creation
data:
  title: {{ .Values.title | quote }}
`,
  'templates/before.yaml': hookJob('pre-install', 'test "$(cat /set/title)" = {{ .Values.title }}'),
  'templates/installed.yaml': hookJob('post-install', ASK),
  'templates/upgrade.yaml': hookJob('pre-upgrade', 'test "$(cat /set/title)" != broken'),
  'templates/after.yaml': hookJob('post-upgrade', ASK),
  'templates/removal.yaml': hookJob('pre-delete', ASK),
  'templates/test.yaml': `apiVersion: v1
kind: Pod
metadata:
  name: {{ .Release.Name }}-test
  annotations:
    helm.sh/hook: test
spec:
  restartPolicy: Never
  containers:
    - name: main
      image: drover/busybox:1
      command: ["sh", "-c", ${JSON.stringify(ASK)}]
`,
}

async function writeChart(directory: string): Promise<string> {
  for (const [name, text] of Object.entries(FILES)) {
    const file = path.join(directory, 'site', name)
    await mkdir(path.dirname(file), { recursive: true })
    await writeFile(file, text)
  }
  return path.join(directory, 'site')
}

t.test('helm', { skip, timeout: 280_000 }, async t => {
  const directory = await mkdtemp(path.join(tmpdir(), 'helm-'))
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  const [fleet, { helm: program }, chart] = await Promise.all([
    Fleet.start(t, 'helm', 3),
    unpackTools(directory),
    writeChart(directory),
  ])
  await Promise.all([fleet.join(2), fleet.join(3)])
  const helm = async (...args: readonly string[]) => {
    const { stdout } = await fleet.first.run(program, ['--kubeconfig', `${DATA}/kubeconfig`, ...args], {
      environment: { HOME: directory },
      deadline: 120_000,
    })
    return stdout
  }
  const kubectl = async (...args: readonly string[]) => (await fleet.kubectl(args)).stdout
  const title = () => kubectl('get', 'site', 'demo', '-o', 'jsonpath={.spec.title}')

  await t.test('installs', async t => {
    t.match(await helm('install', 'demo', chart, '--wait', '--timeout', '90s'), /STATUS: deployed/)
    t.equal(await title(), 'first')
    t.match(await kubectl('get', 'deployment', 'demo'), /demo\s+1\/1/)
    t.equal(await kubectl('get', 'jobs', '-o', 'name'), '', 'hooks are removed when they have succeeded')
    t.equal(await kubectl('get', 'configmap', 'demo-before', '-o', 'jsonpath={.data.title}'), 'first')
    t.match(await helm('list'), /demo\s+default\s+1\s.*deployed\s+site-0\.1\.0/)
    t.match(await helm('status', 'demo'), /STATUS: deployed/)
    t.match(await helm('get', 'manifest', 'demo'), /kind: Site/)
  })

  await t.test('upgrades', async t => {
    t.match(
      await helm('upgrade', 'demo', chart, '--set', 'title=second,replicas=2', '--wait', '--timeout', '90s'),
      /REVISION: 2/,
    )
    t.equal(await title(), 'second')
    t.match(await kubectl('get', 'deployment', 'demo'), /demo\s+2\/2/)
  })

  await t.test('a test of the release', async t => {
    t.match(await helm('test', 'demo', '--logs', '--timeout', '60s'), /Phase:\s+Succeeded[\s\S]*second/)
  })

  await t.test('an upgrade whose hook fails changes nothing', async t => {
    await t.rejects(helm('upgrade', 'demo', chart, '--set', 'title=broken', '--wait', '--timeout', '60s'), {
      message: /pre-upgrade hooks failed/,
    })
    t.equal(await title(), 'second')
    t.match(await kubectl('get', 'job', 'demo-pre-upgrade'), /demo-pre-upgrade\s+Failed\s+0\/1/)
    t.match(await helm('history', 'demo'), /3\s.*failed/)
  })

  await t.test('rolls back', async t => {
    t.match(await helm('rollback', 'demo', '1', '--wait', '--timeout', '90s'), /Rollback was a success/)
    t.equal(await title(), 'first')
    t.match(await helm('history', 'demo'), /4\s.*deployed.*Rollback to 1/)
  })

  await t.test('removes', async t => {
    t.match(await helm('uninstall', 'demo', '--wait', '--timeout', '90s'), /uninstalled/)
    t.equal(
      await kubectl('get', 'sites,deployments,configmaps', '-l', 'app.kubernetes.io/managed-by=Helm'),
      '',
    )
    t.match(await kubectl('get', 'crd', 'sites.example.com'), /sites/, 'helm leaves kinds behind')
    t.equal(await kubectl('get', 'secrets', '-l', 'owner=helm'), '')
  })
})
