/**
 * As much of EC2 and of the instance metadata service as hosts use, with its own check of every signature: route tables
 * and interfaces that are changed by signed requests only.
 */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

const REGION = 'eu-central-1'
const ROLE = 'drover-host'

interface StandInRoute {
  readonly destination: string
  readonly target: string
  readonly state: 'active' | 'blackhole'
}

interface Refusal {
  readonly status: number
  readonly code: string
}

export class Ec2StandIn {
  readonly routes = new Map<string, StandInRoute[]>()
  /** Interfaces that check addresses. */
  readonly checking = new Set(['eni-0a'])
  /** Actions in the order in which they came. */
  readonly actions: string[] = []
  /** Answers the next requests of an action with this code. */
  readonly failures = new Map<string, string>()
  secret = 'a secret of the role'
  sessionToken = 'a session'
  readonly #server = createServer((request, response) => {
    this.#answer(request, response).catch((error: unknown) => response.writeHead(500).end(String(error)))
  })

  async start(): Promise<void> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  /** What leads where, as `table destination target`. */
  lines(): string[] {
    return [...this.routes].flatMap(([table, routes]) =>
      routes.map(({ destination, target }) => `${table} ${destination} ${target}`),
    )
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.url?.startsWith('/latest/') === true) {
      this.#answerMetadata(request, response)
      return
    }
    let body = ''
    for await (const part of request) body += String(part)
    const refusal = this.#checkSignature(request, body)
    const result = refusal ?? this.#obey(new URLSearchParams(body))
    const isRefused = typeof result !== 'string'
    const text = isRefused
      ? `<Response><Errors><Error><Code>${result.code}</Code><Message>as asked for</Message></Error></Errors></Response>`
      : `<?xml version="1.0"?>\n<R xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">${result}</R>`
    response.writeHead(isRefused ? result.status : 200, { 'content-type': 'text/xml' }).end(text)
  }

  #answerMetadata(request: IncomingMessage, response: ServerResponse): void {
    const path = request.url ?? ''
    if (request.method === 'PUT' && path === '/latest/api/token') {
      response.end('metadata-token')
      return
    }
    const answers: Record<string, string> = {
      mac: '02:00:00:00:00:01',
      'network/interfaces/macs/02%3A00%3A00%3A00%3A00%3A01/interface-id': 'eni-0a',
      'iam/security-credentials/': ROLE,
      [`iam/security-credentials/${ROLE}`]: JSON.stringify({
        AccessKeyId: 'ASIAROLE',
        SecretAccessKey: this.secret,
        Token: this.sessionToken,
        Expiration: new Date(Date.now() + 3_600_000).toISOString(),
      }),
    }
    const answer = answers[path.replace('/latest/meta-data/', '')]
    const isAllowed = request.headers['x-aws-ec2-metadata-token'] === 'metadata-token'
    response.writeHead(isAllowed ? (answer === undefined ? 404 : 200) : 401).end(answer ?? '')
  }

  /** Written from the documentation, and from nothing that it is to check. */
  #checkSignature(request: IncomingMessage, body: string): Refusal | undefined {
    const header = request.headers.authorization ?? ''
    const match =
      /^AWS4-HMAC-SHA256 Credential=ASIAROLE\/(\d{8})\/([a-z0-9-]+)\/ec2\/aws4_request, SignedHeaders=([a-z0-9;-]+), Signature=([0-9a-f]{64})$/.exec(
        header,
      )
    const [, day = '', region, names = '', signature = ''] = match ?? []
    const date = String(request.headers['x-amz-date'] ?? '')
    const age = Math.abs(
      Date.now() - Date.parse(date.replace(/^(....)(..)(..)T(..)(..)(..)Z$/, '$1-$2-$3T$4:$5:$6Z')),
    )
    const signed = names.split(';')
    if (match === null || region !== REGION || !date.startsWith(day) || !(age < 300_000))
      return { status: 403, code: 'AuthFailure' }
    if (!['host', 'x-amz-date', 'x-amz-security-token'].every(name => signed.includes(name)))
      return { status: 403, code: 'AuthFailure' }
    if (request.headers['x-amz-security-token'] !== this.sessionToken)
      return { status: 403, code: 'RequestExpired' }
    const hash = (text: string) => createHash('sha256').update(text).digest('hex')
    const lines = signed.map(name => `${name}:${String(request.headers[name]).trim()}\n`).join('')
    const canonical = `${request.method}\n${request.url}\n\n${lines}\n${names}\n${hash(body)}`
    let key: Buffer = Buffer.from(`AWS4${this.secret}`)
    for (const part of [day, REGION, 'ec2', 'aws4_request'])
      key = createHmac('sha256', key).update(part).digest()
    const toSign = `AWS4-HMAC-SHA256\n${date}\n${day}/${REGION}/ec2/aws4_request\n${hash(canonical)}`
    const expected = createHmac('sha256', key).update(toSign).digest()
    if (timingSafeEqual(expected, Buffer.from(signature, 'hex'))) return undefined
    return { status: 403, code: 'SignatureDoesNotMatch' }
  }

  #obey(parameters: URLSearchParams): string | Refusal {
    const action = parameters.get('Action') ?? ''
    this.actions.push(action)
    if (parameters.get('Version') !== '2016-11-15') return { status: 400, code: 'InvalidVersion' }
    const failure = this.failures.get(action)
    if (failure !== undefined) return { status: 400, code: failure }
    if (action === 'DescribeRouteTables') return this.#describe(parameters)
    if (action.endsWith('Route')) return this.#changeRoute(action, parameters)
    const networkInterface = parameters.get('NetworkInterfaceId') ?? ''
    if (action === 'DescribeNetworkInterfaceAttribute' && parameters.get('Attribute') === 'sourceDestCheck')
      return `<sourceDestCheck><value>${this.checking.has(networkInterface)}</value></sourceDestCheck>`
    if (action === 'ModifyNetworkInterfaceAttribute' && parameters.get('SourceDestCheck.Value') === 'false') {
      this.checking.delete(networkInterface)
      return '<return>true</return>'
    }
    return { status: 400, code: 'InvalidAction' }
  }

  #describe(parameters: URLSearchParams): string | Refusal {
    const ids = [...parameters].flatMap(([name, value]) => (/^RouteTableId\.\d+$/.test(name) ? [value] : []))
    if (ids.some(id => !this.routes.has(id))) return { status: 400, code: 'InvalidRouteTableID.NotFound' }
    // One table per page.
    const index = Number(parameters.get('NextToken') ?? 0)
    const id = ids[index] ?? ''
    const routes = (this.routes.get(id) ?? []).map(({ destination, target, state }) => {
      const name = target.startsWith('eni-') ? 'networkInterfaceId' : 'gatewayId'
      return `<item><destinationCidrBlock>${destination}</destinationCidrBlock><${name}>${target}</${name}><state>${state}</state></item>`
    })
    const next = index + 1 < ids.length ? `<nextToken>${index + 1}</nextToken>` : '<nextToken/>'
    return `<routeTableSet><item><routeTableId>${id}</routeTableId><routeSet>${routes.join('')}</routeSet></item></routeTableSet>${next}`
  }

  #changeRoute(action: string, parameters: URLSearchParams): string | Refusal {
    const id = parameters.get('RouteTableId') ?? ''
    const destination = parameters.get('DestinationCidrBlock') ?? ''
    const target = parameters.get('NetworkInterfaceId') ?? ''
    const routes = this.routes.get(id)
    if (routes === undefined) return { status: 400, code: 'InvalidRouteTableID.NotFound' }
    const others = routes.filter(route => route.destination !== destination)
    const exists = others.length < routes.length
    if (action === 'CreateRoute' && exists) return { status: 400, code: 'RouteAlreadyExists' }
    if (action !== 'CreateRoute' && !exists) return { status: 400, code: 'InvalidRoute.NotFound' }
    if (action !== 'DeleteRoute') others.push({ destination, target, state: 'active' })
    this.routes.set(id, others)
    return '<return>true</return>'
  }
}
