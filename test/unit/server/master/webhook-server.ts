/** A webhook for tests: a service of the cluster whose pod answers HTTPS with what the test decides. */
import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { createServer } from 'node:https'
import { type AddressInfo, connect } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Test } from 'tap'
import { createCertificateAuthority, issueCertificate } from '../../../../kit/x509/index.ts'
import { pod, type TemporaryMaster } from './temporary-master.ts'

// biome-ignore lint/suspicious/noExplicitAny: tests look into whatever came
export type Review = any

/** The answer to a review; undefined for none, ever. */
export type Answering = (review: Review, path: string) => object | undefined

export class WebhookServer {
  /** By path: what it was asked. */
  readonly asked: { readonly path: string; readonly review: Review }[] = []
  readonly #authority: string
  readonly #port: number
  answer: Answering = () => ({})
  /** Answers instead, whatever was asked. */
  raw: ((response: ServerResponse) => unknown) | undefined

  private constructor(authority: string, port: number, listen: (own: WebhookServer) => void) {
    this.#authority = authority
    this.#port = port
    listen(this)
  }

  static async start(t: Test): Promise<WebhookServer> {
    const authority = await createCertificateAuthority('of the webhook', 1)
    const pair = await issueCertificate(authority, {
      commonName: 'hook.default.svc',
      dnsNames: ['hook.default.svc'],
      usage: 'server',
      validDays: 1,
    })
    const server = createServer({ cert: pair.certificate, key: pair.privateKey })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    t.teardown(() => {
      server.closeAllConnections()
      server.close()
    })
    return new WebhookServer(authority.certificate, (server.address() as AddressInfo).port, own => {
      server.on('request', async (request, response) => {
        const chunks: Buffer[] = []
        for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk)
        if (own.raw !== undefined) return void own.raw(response)
        const path = (request.url ?? '').replace(/\?.*/, '')
        const review = JSON.parse(Buffer.concat(chunks).toString())
        own.asked.push({ path, review })
        const answer = own.answer(review, path)
        if (answer === undefined) return
        response.setHeader('content-type', 'application/json')
        response.end(JSON.stringify(answer))
      })
    })
  }

  /** The way to the webhook's pod, for the master. */
  readonly connectToPod = async (): Promise<Duplex> => connect(this.#port, '127.0.0.1')

  /** Makes the service `default/hook`, and what is behind it. */
  async install({ ask }: TemporaryMaster): Promise<void> {
    const metadata = { name: 'hook', namespace: 'default' }
    const post = async (path: string, body: object) => {
      const { status, text } = await ask(path, { method: 'POST', body })
      if (status !== 201) throw new Error(text)
    }
    await post('/api/v1/namespaces/default/services', {
      metadata,
      spec: { ports: [{ port: 443, targetPort: 8443 }] },
    })
    await post('/api/v1/namespaces/default/pods', pod('hook', { nodeName: 'n1' }))
    await post('/apis/discovery.k8s.io/v1/namespaces/default/endpointslices', {
      metadata: { ...metadata, labels: { 'kubernetes.io/service-name': 'hook' } },
      addressType: 'IPv4',
      ports: [{ port: 8443 }],
      endpoints: [
        { addresses: ['10.42.0.9'], targetRef: { kind: 'Pod', name: 'hook', namespace: 'default' } },
      ],
    })
  }

  clientConfig(path = '/') {
    return {
      service: { name: 'hook', namespace: 'default', path },
      caBundle: Buffer.from(this.#authority).toString('base64'),
    }
  }

  /** Reviews that came on a path since the last look. */
  take(path?: string): Review[] {
    const taken = this.asked.filter(each => path === undefined || each.path === path)
    this.asked.length = 0
    return taken.map(({ review }) => review)
  }
}

/** An admission review that lets pass. @param patch JSON patch */
export function allow(review: Review, patch?: readonly object[], warnings?: readonly string[]): object {
  return answerTo(review, {
    allowed: true,
    ...(warnings === undefined ? {} : { warnings }),
    ...(patch === undefined
      ? {}
      : { patchType: 'JSONPatch', patch: Buffer.from(JSON.stringify(patch)).toString('base64') }),
  })
}

export function deny(review: Review, status?: object): object {
  return answerTo(review, { allowed: false, ...(status === undefined ? {} : { status }) })
}

function answerTo({ request, kind, apiVersion }: Review, response: object): object {
  return { kind, apiVersion, response: { uid: request.uid, ...response } }
}
