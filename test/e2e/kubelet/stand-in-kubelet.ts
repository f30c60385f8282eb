/**
 * Stands in for a kubelet with cri-dockerd: reads what a kubelet is told, joins by a certificate of its own, registers its
 * node, and runs the pods of its node on Docker with the labels and the network that those programs give them.
 */
import 'reflect-metadata'
import { execFile } from 'node:child_process'
import { webcrypto } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { Agent, request } from 'node:https'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { parseArgs, promisify } from 'node:util'
import { Pkcs10CertificateRequestGenerator, SubjectAlternativeNameExtension } from '@peculiar/x509'
import { parse, stringify } from 'yaml'

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
const CNI_LISTS = '/etc/cni/net.d'
const CNI_PROGRAMS = '/opt/cni/bin'
const run = promisify(execFile)

// biome-ignore lint/suspicious/noExplicitAny: whatever the API answers
type Json = any

const { values } = parseArgs({
  options: {
    config: { type: 'string' },
    'bootstrap-kubeconfig': { type: 'string' },
    kubeconfig: { type: 'string' },
    'cert-dir': { type: 'string' },
    'root-dir': { type: 'string' },
    'hostname-override': { type: 'string' },
    'node-ip': { type: 'string' },
  },
})

function fail(why: string): never {
  process.stderr.write(`E1126 stand-in: ${why}\n`)
  process.exit(1)
}

function given(name: keyof typeof values): string {
  return values[name] ?? fail(`--${name} is missing`)
}

// In one line, as the real one writes.
process.on('uncaughtException', error =>
  fail(`${error.message} ${error.stack?.split('\n')[1]}`.replaceAll('\n', ' ')),
)

const node = given('hostname-override')
const address = given('node-ip')
const certificates = given('cert-dir')
const configuration = JSON.parse(readFileSync(given('config'), 'utf8')) as Json
const wanted: [string, boolean][] = [
  ['kind', configuration.kind === 'KubeletConfiguration'],
  ['apiVersion', configuration.apiVersion === 'kubelet.config.k8s.io/v1beta1'],
  ['contentType', configuration.contentType === 'application/json'],
  ['anonymous', configuration.authentication.anonymous.enabled === false],
  ['webhook', configuration.authentication.webhook.enabled && configuration.authorization.mode === 'Webhook'],
  [
    'clientCAFile',
    readFileSync(configuration.authentication.x509.clientCAFile, 'utf8').includes('BEGIN CERTIFICATE'),
  ],
  ['rotation', configuration.rotateCertificates && configuration.serverTLSBootstrap],
  [
    'clusterDNS',
    configuration.clusterDNS[0] === '169.254.169.250' && configuration.clusterDomain === 'cluster.local',
  ],
  ['cgroupDriver', /^(cgroupfs|systemd)$/.test(configuration.cgroupDriver)],
  ['runtime', configuration.containerRuntimeEndpoint === 'unix:///run/cri-dockerd.sock'],
  ['root-dir', existsSync(given('root-dir'))],
]
for (const [what, holds] of wanted) if (!holds) fail(`the configuration is wrong: ${what}`)

interface Access {
  readonly url: URL
  readonly agent: Agent
  readonly headers: Record<string, string>
}

function accessOf(file: string): Access {
  const { clusters, users } = parse(readFileSync(file, 'utf8')) as Json
  const { server, 'certificate-authority-data': authority } = clusters[0].cluster
  const { token, 'client-certificate': certificate } = users[0].user
  const pem = certificate === undefined ? undefined : readFileSync(certificate)
  return {
    url: new URL(server),
    agent: new Agent({
      ca: Buffer.from(authority, 'base64'),
      ...(pem === undefined ? {} : { cert: pem, key: pem }),
    }),
    headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
  }
}

function ask(
  access: Access,
  method: string,
  target: string,
  body?: Json,
  type = 'application/json',
): Promise<{ status: number; body: Json }> {
  return new Promise((resolve, reject) => {
    const outgoing = request(new URL(access.url.pathname + target, access.url), {
      method,
      agent: access.agent,
      headers: { accept: 'application/json', 'content-type': type, ...access.headers },
    })
    outgoing.on('error', reject)
    outgoing.on('response', async response => {
      let text = ''
      for await (const chunk of response) text += chunk
      resolve({ status: response.statusCode ?? 0, body: JSON.parse(text || '{}') })
    })
    outgoing.end(body === undefined ? undefined : JSON.stringify(body))
  })
}

/** Calls `each` for every line of a watch until it says that it has seen enough. */
function watch(
  access: Access,
  target: string,
  each: (event: Json) => boolean | Promise<boolean>,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const outgoing = request(new URL(access.url.pathname + target, access.url), {
      agent: access.agent,
      headers: access.headers,
    })
    outgoing.on('error', reject)
    outgoing.on('response', async response => {
      const lines = createInterface({ input: response })
      // What is ended on purpose complains.
      for (const stream of [response, lines]) stream.on('error', () => lines.close())
      for await (const line of lines) {
        if (!(await each(JSON.parse(line)))) continue
        outgoing.destroy()
        break
      }
      resolve()
    })
    outgoing.end()
  })
}

/** Asks for a certificate and waits for it. @returns certificate and key */
async function certify(
  access: Access,
  signerName: string,
  usages: string[],
  names: string[],
): Promise<string> {
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify'])
  const alternatives = names.map(value => ({
    type: /^[\d.]+$/.test(value) ? ('ip' as const) : ('dns' as const),
    value,
  }))
  const pem = await Pkcs10CertificateRequestGenerator.create({
    name: [{ O: ['system:nodes'] }, { CN: [`system:node:${node}`] }],
    keys,
    signingAlgorithm: ALGORITHM,
    extensions: names.length === 0 ? [] : [new SubjectAlternativeNameExtension(alternatives)],
  })
  const requests = '/apis/certificates.k8s.io/v1/certificatesigningrequests'
  const { status, body } = await ask(access, 'POST', requests, {
    metadata: { generateName: 'csr-' },
    spec: { signerName, usages, request: Buffer.from(pem.toString('pem')).toString('base64') },
  })
  if (status !== 201) fail(`the request for a certificate was answered ${status}: ${JSON.stringify(body)}`)
  let certificate = ''
  const selector = `fieldSelector=${encodeURIComponent(`metadata.name=${body.metadata.name}`)}`
  await watch(access, `${requests}?${selector}&watch=true`, ({ object }) => {
    certificate = object.status?.certificate ?? ''
    return certificate !== ''
  })
  const key = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64')
  return `${Buffer.from(certificate, 'base64')}-----BEGIN PRIVATE KEY-----\n${key}\n-----END PRIVATE KEY-----\n`
}

async function join(): Promise<Access> {
  const file = given('kubeconfig')
  if (existsSync(file)) return accessOf(file)
  const bootstrap = given('bootstrap-kubeconfig')
  const signer = 'kubernetes.io/kube-apiserver-client-kubelet'
  const pem = await certify(accessOf(bootstrap), signer, ['digital signature', 'client auth'], [])
  mkdirSync(certificates, { recursive: true, mode: 0o700 })
  const current = path.join(certificates, 'kubelet-client-current.pem')
  writeFileSync(current, pem, { mode: 0o600 })
  const content = parse(readFileSync(bootstrap, 'utf8')) as Json
  content.users[0].user = { 'client-certificate': current, 'client-key': current }
  writeFileSync(file, stringify(content), { mode: 0o600 })
  return accessOf(file)
}

const STRATEGIC = 'application/strategic-merge-patch+json'

async function register(access: Access): Promise<void> {
  const labels = { 'kubernetes.io/hostname': node, 'kubernetes.io/os': 'linux' }
  const made = await ask(access, 'POST', '/api/v1/nodes', { metadata: { name: node, labels }, spec: {} })
  if (made.status !== 201 && made.status !== 409) fail(`the node was answered ${made.status}`)
  const status = {
    addresses: [
      { type: 'InternalIP', address },
      { type: 'Hostname', address: node },
    ],
    capacity: { cpu: '2', memory: '2Gi', pods: '110' },
    allocatable: { cpu: '2', memory: '2Gi', pods: '110' },
    conditions: [
      {
        type: 'Ready',
        status: 'True',
        reason: 'KubeletReady',
        message: 'stand-in',
        lastHeartbeatTime: new Date().toISOString(),
      },
    ],
    nodeInfo: { kubeletVersion: 'v1.36.0-stand-in', containerRuntimeVersion: 'docker://cri' },
  }
  const patched = await ask(access, 'PATCH', `/api/v1/nodes/${node}/status`, { status }, STRATEGIC)
  if (patched.status !== 200) fail(`the status of the node was answered ${patched.status}`)
}

async function renewLease(access: Access): Promise<void> {
  const leases = '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases'
  const renewTime = new Date().toISOString().replace(/(\.\d{3})Z$/, '$1000Z')
  const spec = { holderIdentity: node, leaseDurationSeconds: 40, renewTime }
  const { status, body } = await ask(access, 'GET', `${leases}/${node}`)
  if (status === 404) await ask(access, 'POST', leases, { metadata: { name: node }, spec })
  else await ask(access, 'PUT', `${leases}/${node}`, { ...body, spec })
}

const docker = async (...args: string[]) => (await run('docker', args)).stdout.trim()

/** What cri-dockerd has in its labels. */
function labelsOf(pod: Json, container: string, sandbox?: string): string[] {
  const labels: Record<string, string> = {
    'io.kubernetes.pod.name': pod.metadata.name,
    'io.kubernetes.pod.namespace': pod.metadata.namespace,
    'io.kubernetes.pod.uid': pod.metadata.uid,
    'io.kubernetes.container.name': container,
    'io.kubernetes.docker.type': sandbox === undefined ? 'podsandbox' : 'container',
    ...(sandbox === undefined ? {} : { 'io.kubernetes.sandbox.id': sandbox }),
  }
  return Object.entries(labels).flatMap(([name, value]) => ['--label', `${name}=${value}`])
}

/** Calls the plugins of the first list as a container runtime does. @returns the address */
async function connect(sandbox: string): Promise<string> {
  const list = JSON.parse(readFileSync(path.join(CNI_LISTS, '10-drover.conflist'), 'utf8')) as Json
  const [plugin] = list.plugins
  const pid = await docker('inspect', '--format', '{{.State.Pid}}', sandbox)
  const child = run(path.join(CNI_PROGRAMS, plugin.type), [], {
    env: {
      ...{ CNI_COMMAND: 'ADD', CNI_CONTAINERID: sandbox, CNI_NETNS: `/proc/${pid}/ns/net` },
      ...{ CNI_IFNAME: 'eth0', CNI_PATH: CNI_PROGRAMS },
    },
  })
  child.child.stdin?.end(JSON.stringify({ ...plugin, name: list.name, cniVersion: list.cniVersion }))
  const { ips } = JSON.parse((await child).stdout) as Json
  return String(ips[0].address).split('/')[0] ?? ''
}

const addresses = new Map<string, string>()

async function endPod(uid: string): Promise<void> {
  const ids = await docker('ps', '-aq', '--filter', `label=io.kubernetes.pod.uid=${uid}`)
  if (ids !== '') await docker('rm', '-f', ...ids.split('\n'))
}

async function runPod(access: Access, pod: Json): Promise<void> {
  const { name, namespace, uid } = pod.metadata
  const place = `/api/v1/namespaces/${namespace}/pods/${name}`
  const of = ['--filter', `label=io.kubernetes.pod.uid=${uid}`]
  if (pod.metadata.deletionTimestamp !== undefined) {
    await endPod(uid)
    await ask(access, 'DELETE', place, { gracePeriodSeconds: 0, preconditions: { uid } })
    return
  }
  if (addresses.has(uid) || (await docker('ps', '-q', ...of)) !== '') return
  const base = `${name}_${namespace}_${uid}_0`
  const sandbox = await docker(
    'run',
    '-d',
    '--network=none',
    '--name',
    `k8s_POD_${base}`,
    ...labelsOf(pod, 'POD'),
    'drover/busybox:1',
    'sleep',
    '100000',
  )
  addresses.set(uid, await connect(sandbox))
  const statuses = []
  for (const container of pod.spec.containers) {
    const id = await docker(
      ...['run', '-d', '--network', `container:${sandbox}`, '--name', `k8s_${container.name}_${base}`],
      ...[...labelsOf(pod, container.name, sandbox), container.image, ...container.command],
    )
    const state = { running: { startedAt: new Date().toISOString() } }
    statuses.push({
      name: container.name,
      ready: true,
      restartCount: 0,
      image: container.image,
      imageID: '',
      containerID: `docker://${id}`,
      state,
    })
  }
  const podIP = addresses.get(uid)
  const conditions = ['Initialized', 'Ready', 'ContainersReady'].map(type => ({ type, status: 'True' }))
  const status = {
    phase: 'Running',
    hostIP: address,
    podIP,
    podIPs: [{ ip: podIP }],
    conditions,
    containerStatuses: statuses,
  }
  await ask(access, 'PATCH', `${place}/status`, { metadata: { uid }, status }, STRATEGIC)
}

const access = await join()
await register(access)
await renewLease(access)
setInterval(() => void renewLease(access), 10_000)
const serving = await certify(
  access,
  'kubernetes.io/kubelet-serving',
  ['digital signature', 'server auth'],
  [node, address],
)
writeFileSync(path.join(certificates, 'kubelet-server-current.pem'), serving, { mode: 0o600 })
for (;;) {
  const selector = `fieldSelector=${encodeURIComponent(`spec.nodeName=${node}`)}`
  const { body } = await ask(access, 'GET', `/api/v1/pods?${selector}&limit=500&resourceVersion=0`)
  for (const pod of body.items) await runPod(access, pod)
  const known = new Set(body.items.map(({ metadata }: Json) => metadata.uid))
  const format = '{{.Label "io.kubernetes.pod.uid"}} {{.Label "io.drover.agent"}}'
  const lines = (
    await docker('ps', '-a', '--filter', 'label=io.kubernetes.pod.uid', '--format', format)
  ).split('\n')
  for (const line of lines) {
    const [uid = '', owner = ''] = line.split(' ')
    if (uid !== '' && owner === '' && !known.has(uid)) await endPod(uid)
  }
  const since = `resourceVersion=${body.metadata.resourceVersion}&allowWatchBookmarks=true&watch=true`
  await watch(access, `/api/v1/pods?${selector}&${since}`, async ({ type, object }) => {
    if (type === 'ADDED' || type === 'MODIFIED') await runPod(access, object)
    else if (type === 'DELETED') await endPod(object.metadata.uid)
    return false
  })
}
