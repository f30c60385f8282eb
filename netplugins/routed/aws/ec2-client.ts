/**
 * The few requests to EC2 that routes need, in its Query API (version 2016-11-15).
 *
 * Not Amazon's package: that is larger than the whole agent, in memory too, and five requests need none of it.
 */
import { networkErrors } from '../../errors.ts'
import { type AwsCredentials, encodeStrictly, signedHeaders } from './signature.ts'
import { elementsAt, parseXml, textAt, type XmlElement } from './xml.ts'

const VERSION = '2016-11-15'

/** Milliseconds. */
const DEADLINE = 15_000

/** Bytes of an answer. */
const ANSWER_LIMIT = 8 * 1024 * 1024

export interface Ec2ClientOptions {
  readonly region: string
  /** Amazon's own when absent. */
  readonly endpoint?: string | undefined
  readonly credentials: () => Promise<AwsCredentials>
}

/** One route of a route table of a VPC. */
export interface VpcRoute {
  readonly destination: string
  /** `active`, or `blackhole`: its target is gone. */
  readonly state: string
  /** Id of whatever it leads to: `eni-…`, `igw-…`, `local`. */
  readonly target: string
}

export interface RouteTable {
  readonly id: string
  readonly routes: readonly VpcRoute[]
}

/** The code with which EC2 refused a request, e.g. `RouteAlreadyExists`; undefined for errors of another kind. */
export function ec2ErrorCode(error: unknown): string | undefined {
  return error instanceof Error && error.cause instanceof Ec2Error ? error.cause.code : undefined
}

class Ec2Error extends Error {
  readonly code: string

  constructor(code: string, message: string) {
    super(message)
    this.name = 'Ec2Error'
    this.code = code
  }
}

const TARGETS = [
  'networkInterfaceId',
  'gatewayId',
  'natGatewayId',
  'transitGatewayId',
  'vpcPeeringConnectionId',
  'localGatewayId',
  'carrierGatewayId',
  'instanceId',
]

export class Ec2Client {
  readonly #options: Ec2ClientOptions
  readonly #url: URL

  constructor(options: Ec2ClientOptions) {
    this.#options = options
    this.#url = new URL(options.endpoint ?? `https://ec2.${options.region}.amazonaws.com/`)
  }

  /** @throws `CloudRefused` (see `ec2ErrorCode`) */
  async routeTables(ids: readonly string[]): Promise<RouteTable[]> {
    const names = Object.fromEntries(ids.map((id, index) => [`RouteTableId.${index + 1}`, id]))
    const tables: RouteTable[] = []
    let next: string | undefined
    do {
      const answer = await this.#ask('DescribeRouteTables', {
        ...names,
        ...(next === undefined ? {} : { NextToken: next }),
      })
      tables.push(...elementsAt(answer, 'routeTableSet/item').map(decodeTable))
      next = textAt(answer, 'nextToken')
    } while (next !== undefined)
    return tables
  }

  async createRoute(routeTableId: string, destination: string, networkInterface: string): Promise<void> {
    await this.#ask('CreateRoute', routeParameters(routeTableId, destination, networkInterface))
  }

  async replaceRoute(routeTableId: string, destination: string, networkInterface: string): Promise<void> {
    await this.#ask('ReplaceRoute', routeParameters(routeTableId, destination, networkInterface))
  }

  /** A route that is not there is fine. */
  async deleteRoute(routeTableId: string, destination: string): Promise<void> {
    try {
      await this.#ask('DeleteRoute', { RouteTableId: routeTableId, DestinationCidrBlock: destination })
    } catch (error) {
      if (ec2ErrorCode(error) !== 'InvalidRoute.NotFound') throw error
    }
  }

  /** Whether the interface lets pass only packets from and to its own addresses. */
  async checksAddresses(networkInterface: string): Promise<boolean> {
    const answer = await this.#ask('DescribeNetworkInterfaceAttribute', {
      NetworkInterfaceId: networkInterface,
      Attribute: 'sourceDestCheck',
    })
    return textAt(answer, 'sourceDestCheck/value') === 'true'
  }

  async stopCheckingAddresses(networkInterface: string): Promise<void> {
    await this.#ask('ModifyNetworkInterfaceAttribute', {
      NetworkInterfaceId: networkInterface,
      'SourceDestCheck.Value': 'false',
    })
  }

  async #ask(action: string, parameters: Readonly<Record<string, string>>): Promise<XmlElement> {
    const object = `EC2 request ${action}`
    const body = Object.entries({ Action: action, Version: VERSION, ...parameters })
      .map(([name, value]) => `${encodeStrictly(name)}=${encodeStrictly(value)}`)
      .join('&')
    const request = {
      method: 'POST',
      url: this.#url,
      headers: { 'content-type': 'application/x-www-form-urlencoded; charset=utf-8' },
      body,
      region: this.#options.region,
      service: 'ec2',
      time: new Date(),
    } as const
    const headers = signedHeaders(request, await this.#options.credentials())
    const { status, text } = await exchange(object, this.#url, headers, body)
    if (status === 200) return parseXml(text)
    throw refusal(object, status, text)
  }
}

async function exchange(
  object: string,
  url: URL,
  headers: Readonly<Record<string, string>>,
  body: string,
): Promise<{ status: number; text: string }> {
  try {
    const signal = AbortSignal.timeout(DEADLINE)
    const response = await fetch(url, { method: 'POST', headers, body, redirect: 'error', signal })
    const parts: Uint8Array[] = []
    let size = 0
    for await (const part of response.body ?? []) {
      size += part.length
      if (size > ANSWER_LIMIT) throw new Error(`the answer is longer than ${ANSWER_LIMIT} bytes`)
      parts.push(part)
    }
    return { status: response.status, text: Buffer.concat(parts).toString() }
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw networkErrors.CloudRefused({ object, message: `${url.host} cannot be asked: ${reason}`, cause })
  }
}

function refusal(object: string, status: number, text: string): Error {
  let code = `status ${status}`
  let message = ''
  try {
    const answer = parseXml(text)
    code = textAt(answer, 'Errors/Error/Code') ?? code
    message = textAt(answer, 'Errors/Error/Message') ?? ''
  } catch {
    // An answer of something in between: its status says as much as we need.
  }
  return networkErrors.CloudRefused({
    object,
    message: `${code}${message === '' ? '' : `: ${message.slice(0, 300)}`}`,
    cause: new Ec2Error(code, message),
  })
}

function routeParameters(
  routeTableId: string,
  destination: string,
  networkInterface: string,
): Record<string, string> {
  return {
    RouteTableId: routeTableId,
    DestinationCidrBlock: destination,
    NetworkInterfaceId: networkInterface,
  }
}

function decodeTable(element: XmlElement): RouteTable {
  const routes = elementsAt(element, 'routeSet/item').flatMap((route): VpcRoute[] => {
    const destination = textAt(route, 'destinationCidrBlock')
    if (destination === undefined) return []
    const target = TARGETS.map(name => textAt(route, name)).find(id => id !== undefined) ?? ''
    return [{ destination, state: textAt(route, 'state') ?? '', target }]
  })
  return { id: textAt(element, 'routeTableId') ?? '', routes }
}
