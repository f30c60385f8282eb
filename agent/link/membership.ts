/** How this host became a member of a cluster, and what it needs to remain one: kept on disk. */
import { randomBytes } from 'node:crypto'
import path from 'node:path'
import {
  certificateChecksum,
  DroverError,
  readJsonFile,
  type Static,
  Type,
  validatorOf,
  writeFileDurably,
} from '../../kit/index.ts'
import {
  connection,
  parseRegistrationToken,
  protocolErrors,
  REGISTRATION_USER,
  registrationAnswer,
} from '../../protocol/index.ts'
import { pinnedRequest } from './pinned-request.ts'

/** Raised when an older agent would misread the file. */
const FORMAT = 1

const membershipSchema = Type.Object({
  format: Type.Literal(FORMAT),
  serverUrl: Type.String(),
  authority: Type.String(),
  hostId: Type.String(),
  hostUuid: Type.String(),
  clusterId: Type.String(),
  nodeName: Type.String(),
  accessKey: Type.String(),
  secretKey: Type.String(),
  /** The address of this host on the way to the server, when it registered. */
  localAddress: Type.Optional(Type.String()),
})

export type Membership = Static<typeof membershipSchema>

const membershipFile = validatorOf(membershipSchema)
const keyFile = validatorOf(Type.Object({ key: Type.String({ pattern: '^[0-9a-f]{64}$' }) }))

function fileOf(directory: string): string {
  return path.join(directory, 'membership.json')
}

/** @throws `CorruptFile`, `NewerVersion` */
export async function loadMembership(directory: string): Promise<Membership | undefined> {
  return await readJsonFile(fileOf(directory), membershipFile)
}

/** The host's own random key: made once, so that registering again is the same host. */
async function hostKey(directory: string): Promise<string> {
  const file = path.join(directory, 'host-key.json')
  const present = await readJsonFile(file, keyFile)
  if (present !== undefined) return present.key
  const key = randomBytes(32).toString('hex')
  await writeFileDurably(file, JSON.stringify({ key }))
  return key
}

/** The error that a server answered, or one that says what it answered instead. */
function refusal(origin: string, status: number, body: unknown): DroverError {
  const { code, message, detail } = (body ?? {}) as { code?: unknown; message?: unknown; detail?: unknown }
  if (typeof code === 'string' && typeof message === 'string') {
    return new DroverError(code, { status, message }, typeof detail === 'string' ? { mend: detail } : {})
  }
  return protocolErrors.ServerUnreachable({
    object: origin,
    message: `answers ${status}, not like a Drover server`,
  })
}

/**
 * Registers this host.
 *
 * Before anything is sent, the authority that the server shows is compared with the checksum in the token.
 *
 * @param serverUrl as the user gave it; http is followed to the server's https
 * @throws `InvalidToken`, `ExpiredToken`, `UntrustedServer`, `ServerUnreachable`
 */
export async function register(
  directory: string,
  serverUrl: string,
  token: string,
  hostname: string,
): Promise<Membership> {
  const { authorityChecksum } = parseRegistrationToken(token)
  const first = await pinnedRequest({
    url: new URL('/v3/connection', serverUrl),
    method: 'GET',
    authority: undefined,
  })
  if (first.status !== 200 || !connection.accepts(first.body))
    throw refusal(serverUrl, first.status, first.body)
  const { authority, tlsUrl } = first.body
  let checksum = ''
  try {
    checksum = certificateChecksum(authority)
  } catch (cause) {
    throw protocolErrors.UntrustedServer({
      object: serverUrl,
      message: 'shows no certificate authority',
      cause,
    })
  }
  if (checksum !== authorityChecksum) throw protocolErrors.UntrustedServer({ object: serverUrl })
  const url = new URL(serverUrl).protocol === 'https:' ? serverUrl : tlsUrl
  const answer = await pinnedRequest({
    url: new URL('/v3/register', url),
    method: 'POST',
    authority,
    authorization: `Basic ${Buffer.from(`${REGISTRATION_USER}:${token}`).toString('base64')}`,
    body: { key: await hostKey(directory), hostname },
  })
  if (answer.status !== 201) throw refusal(url, answer.status, answer.body)
  const membership: Membership = {
    format: FORMAT,
    serverUrl: new URL(url).origin,
    authority,
    ...registrationAnswer.parse(answer.body, 'answer to the registration'),
    ...(answer.localAddress === undefined ? {} : { localAddress: answer.localAddress }),
  }
  await writeFileDurably(fileOf(directory), JSON.stringify(membership))
  return membership
}
