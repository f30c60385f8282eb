/** `drover logs` and `drover exec`: streams from and to containers. */
import { WebSocket } from 'ws'
import type { ApiClient, Resource } from '../api-client.ts'
import type { ServerConnection } from '../connection.ts'
import { cliErrors } from '../errors.ts'

/** A container by its name or id, or the first running one of a service of that name (or `stack/name`). */
async function findContainer(api: ApiClient, name: string): Promise<Resource> {
  const containers = await api.list('containers')
  const exact = containers.find(container => container.name === name || container.id === name)
  if (exact !== undefined) return exact
  const services = name.includes('/')
    ? [await api.findService(name)]
    : (await api.list('services')).filter(service => service.name === name || service.id === name)
  const member = containers.find(
    container => container.state === 'running' && services.some(({ id }) => id === container.serviceId),
  )
  if (member === undefined) throw cliErrors.NotFound({ object: `container ${name}` })
  return member
}

function open(access: Resource, connection: ServerConnection): WebSocket {
  // The server may be known here by another name than it knows itself.
  const url = new URL(new URL(String(access.url)).pathname, connection.url.replace(/^http/, 'ws'))
  url.searchParams.set('token', String(access.token))
  return new WebSocket(url, {
    perMessageDeflate: false,
    ...(connection.authority === undefined ? {} : { ca: connection.authority }),
  })
}

/** Resolves when the stream ended as it should. */
function closed(socket: WebSocket): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.on('close', (code, reason) => {
      if (code === 1000 || code === 1005) resolve()
      else
        reject(
          cliErrors.Failed({ object: 'stream', message: reason.toString() || `ended with code ${code}` }),
        )
    })
    socket.on('error', cause =>
      reject(cliErrors.ServerUnreachable({ object: 'stream', message: cause.message, cause })),
    )
  })
}

export async function showLogs(
  api: ApiClient,
  connection: ServerConnection,
  name: string,
  options: { readonly follow: boolean; readonly lines: number },
): Promise<void> {
  const container = await findContainer(api, name)
  const socket = open(await api.act('containers', container.id, 'logs', options), connection)
  socket.on('message', (data: Buffer) => process.stdout.write(data))
  await closed(socket)
}

export async function execute(
  api: ApiClient,
  connection: ServerConnection,
  name: string,
  command: readonly string[],
): Promise<void> {
  const container = await findContainer(api, name)
  const tty = process.stdin.isTTY === true && process.stdout.isTTY === true
  const access = await api.act('containers', container.id, 'execute', { command, tty, attachStdin: true })
  const socket = open(access, connection)
  const { stdin, stdout } = process
  const sendSize = () => socket.send(`:resizeTTY:${stdout.columns},${stdout.rows}`)
  socket.on('open', () => {
    if (tty) {
      stdin.setRawMode(true)
      sendSize()
      stdout.on('resize', sendSize)
    }
    stdin.on('data', (data: Buffer) => socket.send(data.toString('base64')))
  })
  socket.on('message', data => stdout.write(Buffer.from(data.toString(), 'base64')))
  try {
    await closed(socket)
  } finally {
    if (tty) stdin.setRawMode(false)
    stdin.pause()
  }
}
