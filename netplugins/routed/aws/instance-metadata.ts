/** What AWS tells a host about itself (instance metadata service, version 2 only: with a token). */
import { type Static, Type, validatorOf } from '../../../kit/index.ts'
import { networkErrors } from '../../errors.ts'
import type { AwsCredentials } from './signature.ts'

const ENDPOINT = 'http://169.254.169.254'

/** Milliseconds; it is on the host's own machine. */
const DEADLINE = 2_000

/** Seconds for which a token is asked. */
const TOKEN_LIFETIME = 300

const credentialsSchema = Type.Object({
  AccessKeyId: Type.String(),
  SecretAccessKey: Type.String(),
  Token: Type.String(),
  Expiration: Type.String(),
})

const credentialsAnswer = validatorOf(credentialsSchema)

/** Milliseconds before their end at which credentials are asked for again. */
const RENEWAL = 5 * 60_000

export class InstanceMetadata {
  readonly #endpoint: string
  readonly #environment: Readonly<Record<string, string | undefined>>
  #credentials: { readonly value: AwsCredentials; readonly until: number } | undefined

  /** @param environment where credentials of the user's own may be (`AWS_ACCESS_KEY_ID`, …) */
  constructor(
    environment: Readonly<Record<string, string | undefined>> = process.env,
    endpoint: string = ENDPOINT,
  ) {
    this.#environment = environment
    this.#endpoint = endpoint
  }

  /** The network interface that other hosts reach this one by, e.g. `eni-0123`. @throws `CloudRefused` */
  async networkInterface(): Promise<string> {
    const token = await this.#token()
    const mac = await this.#read(token, 'mac')
    const id = await this.#read(token, `network/interfaces/macs/${encodeURIComponent(mac)}/interface-id`)
    if (/^eni-[0-9a-f]+$/.test(id)) return id
    throw networkErrors.CloudRefused({
      object: 'instance metadata',
      message: `names ${JSON.stringify(id.slice(0, 40))} as the network interface`,
    })
  }

  /** Credentials of the environment, or of the instance's role. @throws `CloudRefused` */
  async credentials(): Promise<AwsCredentials> {
    const {
      AWS_ACCESS_KEY_ID: id,
      AWS_SECRET_ACCESS_KEY: secret,
      AWS_SESSION_TOKEN: session,
    } = this.#environment
    if (id && secret) return { accessKeyId: id, secretAccessKey: secret, sessionToken: session || undefined }
    if (this.#credentials !== undefined && Date.now() < this.#credentials.until)
      return this.#credentials.value
    const token = await this.#token()
    const [role = ''] = (await this.#read(token, 'iam/security-credentials/')).split('\n')
    const text = await this.#read(token, `iam/security-credentials/${encodeURIComponent(role.trim())}`)
    const answer: Static<typeof credentialsSchema> = credentialsAnswer.parse(
      JSON.parse(text),
      'instance metadata',
    )
    const value = {
      accessKeyId: answer.AccessKeyId,
      secretAccessKey: answer.SecretAccessKey,
      sessionToken: answer.Token,
    }
    this.#credentials = { value, until: Date.parse(answer.Expiration) - RENEWAL }
    return value
  }

  async #token(): Promise<string> {
    return await this.#ask('/latest/api/token', 'PUT', {
      'x-aws-ec2-metadata-token-ttl-seconds': String(TOKEN_LIFETIME),
    })
  }

  async #read(token: string, path: string): Promise<string> {
    return await this.#ask(`/latest/meta-data/${path}`, 'GET', { 'x-aws-ec2-metadata-token': token })
  }

  async #ask(path: string, method: string, headers: Record<string, string>): Promise<string> {
    const object = 'instance metadata'
    try {
      const response = await fetch(`${this.#endpoint}${path}`, {
        method,
        headers,
        redirect: 'error',
        signal: AbortSignal.timeout(DEADLINE),
      })
      const text = await response.text()
      if (response.ok) return text
      throw networkErrors.CloudRefused({
        object,
        message: `answers ${response.status} to ${path}`,
        mend: 'give the instance a role, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY for the agent',
      })
    } catch (cause) {
      if (cause instanceof Error && cause.name === 'DroverError') throw cause
      throw networkErrors.CloudRefused({
        object,
        message: 'does not answer',
        expected: 'a host that is an instance of EC2',
        cause,
      })
    }
  }
}
