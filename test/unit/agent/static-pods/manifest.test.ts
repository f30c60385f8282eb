/** From a file to a static pod. */
import t from 'tap'
import { readManifest } from '../../../../agent/static-pods/manifest.ts'

const place = { file: 'web.yaml', nodeName: 'h1', now: '2026-01-01T00:00:00Z' }

const manifest = (spec = '', container = '') => `
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}, annotations: {kubernetes.io/config.mirror: forged}}
spec:
  ${spec}
  containers:
  - name: main
    image: web
    ${container}
`

t.test('it is completed and named', async t => {
  const pod = await readManifest(
    manifest('volumes: [{name: v, emptyDir: {}}]', 'resources: {limits: {cpu: 1}}'),
    place,
  )
  t.match(pod, {
    metadata: {
      ...{ name: 'web-h1', namespace: 'default', labels: { app: 'web' } },
      annotations: { 'kubernetes.io/config.source': 'file', 'io.drover/static-pod-file': 'web.yaml' },
    },
    spec: {
      nodeName: 'h1',
      containers: [
        { imagePullPolicy: 'Always', resources: { limits: { cpu: '1' }, requests: { cpu: '1' } } },
      ],
      tolerations: [{ operator: 'Exists', effect: 'NoExecute' }],
    },
  })
  t.notOk('kubernetes.io/config.mirror' in (pod.metadata.annotations ?? {}))
  t.equal(pod.metadata.annotations?.['kubernetes.io/config.hash'], pod.metadata.uid)
})

t.test('its uid is that of what it says, where it is', async t => {
  const uid = async (text: string, changes = {}) =>
    (await readManifest(text, { ...place, ...changes })).metadata.uid
  const first = await uid(manifest())
  t.match(first, /^[0-9a-f]{32}$/)
  t.equal(await uid(manifest(), { now: '2027-01-01T00:00:00Z' }), first)
  const others = await Promise.all([
    uid(manifest('hostNetwork: true')),
    uid(manifest(), { file: 'other.yaml' }),
    uid(manifest(), { nodeName: 'h2' }),
  ])
  t.equal(new Set([first, ...others]).size, 4)
  const json = JSON.stringify({
    ...{ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'web' } },
    spec: { containers: [{ name: 'main', image: 'web:1' }] },
  })
  t.equal((await readManifest(json, place)).spec.containers[0]?.imagePullPolicy, 'IfNotPresent')
})

t.test('what is no static pod is refused, with the reason', async t => {
  const cases: [string, RegExp][] = [
    ['', /document/],
    ['{', /./],
    [`${manifest()}---${manifest()}`, /exactly one document/],
    [manifest().replace('kind: Pod', 'kind: Job'), /kind/],
    [manifest().replace('name: web,', 'name: Web!,'), /metadata.name/],
    [manifest().replace('image: web', 'image: ""'), /image/],
    [manifest('', 'command: [1]'), /command/],
    [manifest('restartPolicy: Sometimes'), /restartPolicy/],
    [manifest('', 'volumeMounts: [{name: v, mountPath: /v}]'), /mounts v, which is no volume/],
    [manifest('initContainers: [{name: main, image: i}]'), /two containers main/],
    [manifest('serviceAccountName: robot'), /service account robot/],
    [manifest('volumes: [{name: v, configMap: {name: c}}]'), /configmaps c/],
    [manifest('', 'envFrom: [{secretRef: {name: s}}]'), /secrets s/],
    [manifest('imagePullSecrets: [{name: s}]'), /secrets s/],
    [manifest('volumes: [{name: v, persistentVolumeClaim: {claimName: c}}]'), /persistentvolumeclaims c/],
    [
      manifest('volumes: [{name: v, projected: {sources: [{serviceAccountToken: {path: t}}]}}]'),
      /token in volume v/,
    ],
    [manifest('ephemeralContainers: [{name: e, image: i}]'), /ephemeral/],
    [
      'a: &a [x]\nb: &b [*a, *a, *a, *a]\nc: &c [*b, *b, *b, *b, *b, *b, *b, *b]\nd: [*c, *c, *c, *c, *c, *c, *c, *c, *c]',
      /./,
    ],
  ]
  for (const [text, message] of cases) {
    await t.rejects(readManifest(text, place), { code: 'InvalidManifest', message }, text.slice(0, 60))
  }
})
