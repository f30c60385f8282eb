/** Certificates in a mounted directory of a balancer's container. */
import { buffer } from 'node:stream/consumers'
import t from 'tap'
import { pack } from 'tar-stream'
import { CertificateDirectories } from '../../../../agent/balancer/index.ts'
import { createCertificateAuthority, issueCertificate } from '../../../../kit/x509/index.ts'
import { environment, service, stack } from '../metadata/objects.ts'

const production = environment('Production')
const shop = stack('shop', production)
const authority = await createCertificateAuthority('test', 2)

async function pair(commonName: string): Promise<[string, string]> {
  const options = { commonName, dnsNames: [commonName], usage: 'server', validDays: 2 } as const
  const { certificate, privateKey } = await issueCertificate(authority, options)
  return [certificate, privateKey]
}

function balancer(labels: Record<string, string>) {
  return service('lb', shop, {
    kind: 'loadBalancerService',
    labels,
    lbConfig: { portRules: [], certificates: ['own'], defaultCertificate: 'own' },
  })
}

/** @param files path below the directory → content */
async function archive(files: Record<string, string>): Promise<Buffer> {
  const tar = pack()
  tar.entry({ name: './', type: 'directory' })
  for (const [name, content] of Object.entries(files)) tar.entry({ name: `./${name}` }, content)
  tar.finalize()
  return await buffer(tar)
}

const [MANY, ONE] = ['io.rancher.lb_service.cert_dir', 'io.rancher.lb_service.default_cert_dir']
const OWN = new Map([['own', 'pem']])

t.test('without labels nothing is read', async t => {
  const directories = new CertificateDirectories(() => Promise.reject(new Error('read')))
  const plain = balancer({})
  t.strictSame(await directories.extend(plain, OWN), { service: plain, certificates: OWN, problems: [] })
})

t.test('a directory for each, and one for everybody', async t => {
  const [a, b] = [await pair('a.example'), await pair('b.example')]
  const read: Record<string, Buffer> = {
    '/certs': await archive({
      'a/fullchain.pem': a[0],
      'a/privkey.pem': a[1],
      'a/README': 'text',
      'deeper/b/fullchain.pem': b[0],
    }),
    '/certs/b': await archive({ 'fullchain.pem': b[0], 'privkey.pem': b[1] }),
  }
  const asked: string[] = []
  const directories = new CertificateDirectories(directory => {
    asked.push(directory)
    return Promise.resolve(read[directory] ?? Buffer.alloc(0))
  })
  const labels = { [MANY]: '/certs/', [ONE]: '/certs/b' }
  const found = await directories.extend(balancer(labels), OWN)
  t.strictSame(found.problems, [])
  t.strictSame([...found.certificates.keys()], ['own', '/certs/a', '/certs/b'])
  t.equal(found.certificates.get('/certs/a'), `${a[0].trim()}\n${a[1].trim()}\n`)
  t.match(found.service.lbConfig, {
    certificates: ['own', '/certs/a', '/certs/b'],
    defaultCertificate: '/certs/b',
  })
  await directories.extend(balancer(labels), OWN)
  t.strictSame(asked, ['/certs', '/certs/b'], 'not again at once')
  const other = await directories.extend(balancer({ [ONE]: '/certs/b' }), OWN)
  t.strictSame([...other.certificates.keys()], ['own', '/certs/b'])
})

t.test('what is wrong is told and keeps nothing else from being used', async t => {
  const [good, bad] = [await pair('good.example'), await pair('bad.example')]
  const directories = new CertificateDirectories(async directory => {
    if (directory === '/none') throw new Error('no such directory')
    return await archive({
      'good/fullchain.pem': good[0],
      'good/privkey.pem': good[1],
      'mixed/fullchain.pem': good[0],
      'mixed/privkey.pem': bad[1],
      'half/fullchain.pem': bad[0],
      'garbage/fullchain.pem': 'x\n  bind *:1',
      'garbage/privkey.pem': 'y',
      'large/fullchain.pem': 'x'.repeat(300_000),
      'large/privkey.pem': good[1],
    })
  })
  const { certificates, problems, service } = await directories.extend(
    balancer({ [MANY]: '/certs', [ONE]: '/none' }),
    new Map(),
  )
  t.strictSame([...certificates.keys()], ['/certs/good'])
  t.equal(service.lbConfig?.defaultCertificate, 'own')
  for (const pattern of [
    /mixed: privkey.pem is not/,
    /half: has no privkey/,
    /garbage: /,
    /large: has no full/,
  ]) {
    t.ok(
      problems.some(problem => pattern.test(problem)),
      String(pattern),
    )
  }
  t.ok(problems.some(problem => /\/none: no such directory/.test(problem)))
  const relative = await directories.extend(balancer({ [MANY]: 'certs' }), new Map())
  t.match(relative, { certificates: new Map(), problems: [/begins with \//] })
})
