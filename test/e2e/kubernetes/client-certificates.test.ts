/** A user's certificate: asked for, approved and used by the real kubectl, against the real server. */
import 'reflect-metadata'
import { webcrypto } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { Pkcs10CertificateRequestGenerator } from '@peculiar/x509'
import t from 'tap'
import { DATA, Fleet } from '../../lab/fleet.ts'
import { inPrivateNetwork } from '../../lab/private-network.ts'
import { missingKubectl } from '../master/kubectl.ts'

const skip = (await missingKubectl()) || inPrivateNetwork(import.meta.filename)

t.setTimeout(120_000)

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }

t.test('client certificates', { skip, timeout: 110_000 }, async t => {
  const directory = await mkdtemp(path.join(tmpdir(), 'certificates-'))
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  const fleet = await Fleet.start(t, 'certificates')
  const kubectl = async (...args: readonly string[]) => (await fleet.kubectl(args)).stdout
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify'])
  const request = await Pkcs10CertificateRequestGenerator.create({
    name: 'CN=ann, O=team',
    keys,
    signingAlgorithm: ALGORITHM,
  })
  const object = {
    apiVersion: 'certificates.k8s.io/v1',
    kind: 'CertificateSigningRequest',
    metadata: { name: 'ann' },
    spec: {
      request: Buffer.from(request.toString('pem')).toString('base64'),
      signerName: 'kubernetes.io/kube-apiserver-client',
      expirationSeconds: 86_400,
      usages: ['client auth'],
    },
  }
  await fleet.kubectl(['apply', '-f', '-'], { input: JSON.stringify(object) })
  t.match(await kubectl('get', 'csr', 'ann'), /Pending/)
  t.match(await kubectl('certificate', 'approve', 'ann'), /approved/)
  await kubectl('wait', '--for=jsonpath={.status.certificate}', 'csr/ann', '--timeout=20s')
  t.match(await kubectl('get', 'csr', 'ann'), /Approved,Issued/)
  const certificate = await kubectl('get', 'csr', 'ann', '-o', 'jsonpath={.status.certificate}')
  const key = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey)).toString('base64')
  const files = { certificate: path.join(directory, 'ann.crt'), key: path.join(directory, 'ann.key') }
  await writeFile(files.certificate, Buffer.from(certificate, 'base64'))
  await writeFile(files.key, `-----BEGIN PRIVATE KEY-----\n${key}\n-----END PRIVATE KEY-----\n`)
  const config = path.join(directory, 'kubeconfig')
  await fleet.first.run('cp', [`${DATA}/kubeconfig`, config])
  const asAnn = (...args: readonly string[]) =>
    fleet.first.run('kubectl', ['--kubeconfig', config, ...args], { acceptedExitCodes: [0, 1] })
  await asAnn(
    'config',
    'set-credentials',
    'ann',
    `--client-certificate=${files.certificate}`,
    `--client-key=${files.key}`,
  )
  await asAnn('config', 'set-context', '--current', '--user=ann')
  t.match((await asAnn('auth', 'whoami', '-o', 'json')).stdout, /"username": "ann"/)
  t.match((await asAnn('get', 'pods')).stderr, /User "ann" cannot list resource "pods"/)
  await kubectl('create', 'rolebinding', 'team-views', '--clusterrole=view', '--group=team')
  t.match(await asAnn('get', 'pods'), { exitCode: 0 })
})
