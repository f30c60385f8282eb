/** A real etcd, and how many puts a second it acknowledges. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import path from 'node:path'
import { credentials, makeGenericClientConstructor } from '@grpc/grpc-js'
import { rateOf } from './api.ts'

async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'))
  await Promise.all(servers.map(server => once(server, 'listening')))
  const ports = servers.map(server => {
    const address = server.address()
    return typeof address === 'object' && address !== null ? address.port : 0
  })
  await Promise.all(servers.map(server => new Promise(resolve => server.close(resolve))))
  return ports
}

/** A field of type bytes (Protocol Buffers, "Encoding"). */
function bytesField(number: number, value: Buffer): Buffer {
  const length: number[] = []
  let rest = value.length
  for (; rest > 127; rest >>>= 7) length.push((rest & 127) | 128)
  return Buffer.concat([Buffer.from([(number << 3) | 2, ...length, rest]), value])
}

interface Put {
  readonly key: string
  readonly value: Buffer
}

const service = {
  put: {
    path: '/etcdserverpb.KV/Put',
    requestStream: false,
    responseStream: false,
    requestSerialize: ({ key, value }: Put) =>
      Buffer.concat([bytesField(1, Buffer.from(key)), bytesField(2, value)]),
    requestDeserialize: (bytes: Buffer) => bytes,
    responseSerialize: (bytes: Buffer) => bytes,
    responseDeserialize: (bytes: Buffer) => bytes,
  },
} as const

type PutClient = {
  put(put: Put, done: (error: Error | null) => void): void
  close(): void
}

async function startEtcd(directory: string): Promise<{ child: ChildProcess; port: number }> {
  const [port = 0, peer = 0] = await freePorts(2)
  const child = spawn(
    'etcd',
    [
      `--data-dir=${path.join(directory, 'etcd')}`,
      `--listen-client-urls=http://127.0.0.1:${port}`,
      `--advertise-client-urls=http://127.0.0.1:${port}`,
      `--listen-peer-urls=http://127.0.0.1:${peer}`,
      `--initial-advertise-peer-urls=http://127.0.0.1:${peer}`,
      `--initial-cluster=default=http://127.0.0.1:${peer}`,
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  )
  // Read to its end: etcd ends with the pipe that it writes its log to.
  const serves = new Promise<void>((resolve, reject) => {
    let text = ''
    child.stderr?.setEncoding('utf8').on('data', chunk => {
      text = text.slice(-200) + chunk
      if (text.includes('serving insecure client requests')) resolve()
    })
    child.once('exit', code => reject(new Error(`etcd ended with ${code}`)))
  })
  await serves
  return { child, port }
}

/** Puts per second of objects of 1 KiB, each on disk before its answer, by `clients` with a connection each. */
export async function etcdPuts(directory: string, milliseconds: number, clients: number): Promise<number> {
  const { child, port } = await startEtcd(directory)
  const Client = makeGenericClientConstructor(service, 'KV')
  const all = Array.from(
    { length: clients },
    () =>
      new Client(`127.0.0.1:${port}`, credentials.createInsecure(), {
        'grpc.use_local_subchannel_pool': 1,
      }) as unknown as PutClient,
  )
  const value = Buffer.alloc(1024, 'x')
  const put = (client: number, key: string) =>
    new Promise<void>((resolve, reject) => {
      all[client]?.put({ key, value }, error => (error === null ? resolve() : reject(error)))
    })
  try {
    await rateOf(1_000, clients, (client, count) => put(client, `warm-${client}-${count}`))
    return await rateOf(milliseconds, clients, (client, count) =>
      put(client, `/registry/x/${client}-${count}`),
    )
  } finally {
    for (const client of all) client.close()
    const gone = once(child, 'exit')
    child.kill('SIGTERM')
    await gone
  }
}
