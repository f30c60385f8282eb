import { defineErrors } from '../kit/index.ts'

/** What can go wrong between an agent, a client and a server. */
export const protocolErrors = defineErrors({
  InvalidToken: {
    status: 401,
    message: 'is not a registration token of this server',
    mend: 'print a new one with: drover token',
  },
  ExpiredToken: { status: 401, message: 'has expired', mend: 'print a new one with: drover token' },
  UntrustedServer: {
    status: 502,
    message: 'shows a certificate authority other than the one in the registration token',
    mend: 'check the server URL, or print a new token with: drover token',
  },
  ServerUnreachable: {
    status: 503,
    message: 'cannot be reached',
    mend: 'check the URL and that the server is running',
  },
  CredentialsRefused: {
    status: 401,
    message: 'refused the credentials',
    mend: 'register the agent again with a new token',
  },
  HostAlreadyConnected: {
    status: 409,
    message: 'is connected from another machine',
    mend: 'a copied machine must not share the data directory: stop the agent, remove its data directory and register again',
  },
  LinkClosed: { status: 503, message: 'the connection was closed', mend: 'it is opened again by itself' },
  RequestFailed: { status: 502, message: 'the other side failed' },
  HostNotConnected: {
    status: 503,
    message: 'has no connection to this server',
    mend: 'check that its agent is running and reaches the server',
  },
})
