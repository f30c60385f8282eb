/** A master behind TLS, and real kubectl talking to it. */
import { spawn } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import type { IncomingMessage } from 'node:http'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { Readable } from 'node:stream'
import type { Test } from 'tap'
import { stringify } from 'yaml'
import { BoundedQueue, createLogger, HttpListener, isDroverError, runCommand } from '../../../kit/index.ts'
import { createCertificateAuthority, issueCertificate, type KeyPair } from '../../../kit/x509/index.ts'
import {
  type Credentials,
  type Identity,
  KubernetesMaster,
  MASTERS_GROUP,
} from '../../../server/master/index.ts'
import { openStore, type RunningStore, type StoreOptions } from '../../../server/store/index.ts'
import { echoCommand, echoNodeApi, echoPort } from '../../unit/server/master/echo-node.ts'

/** The one that is installed. */
export const KUBECTL = process.env.KUBECTL ?? 'kubectl'
const silentLog = createLogger('test', 'silent')
const ADMIN_TOKEN = 'the-token-of-the-admin'

/** Why the tests of this folder cannot run; false when they can. */
export async function missingKubectl(): Promise<string | false> {
  try {
    await runCommand(KUBECTL, ['version', '--client'])
    return false
  } catch (error) {
    if (isDroverError(error, 'CommandMissing')) return `${KUBECTL} is not installed`
    throw error
  }
}

export interface CommandOutput {
  readonly exitCode: number
  readonly stdout: string
  readonly stderr: string
}

export interface RunningKubectl {
  /** The next line of output; undefined when it has ended. */
  nextLine(): Promise<string | undefined>
  stop(): Promise<void>
}

/** `get --raw` of some versions of kubectl drops the prefix; what has none is for `c1`, as if that had a name of its own. */
function targetOf({ url = '/' }: IncomingMessage): { readonly cluster: string; readonly rest: string } {
  const [path = '/'] = url.split('?')
  const [, cluster = 'c1', rest = '/'] = /^\/k8s\/clusters\/([^/]+)(.*)/.exec(path) ?? ['', 'c1', path]
  return { cluster, rest }
}

function subjectOf(der: Uint8Array): Identity {
  const lines = new X509Certificate(der).subject.split('\n')
  const values = (key: string) =>
    lines.flatMap(line => (line.startsWith(`${key}=`) ? [line.slice(key.length + 1)] : []))
  return { user: values('CN')[0] ?? '', groups: values('O') }
}

/** The admin's token is good everywhere, `admin-of-ID` in one cluster; certificates of our authority everywhere. */
async function authenticate(cluster: string, credentials: Credentials): Promise<Identity | undefined> {
  const { bearerToken, clientCertificate } = credentials
  if (clientCertificate !== undefined) return subjectOf(clientCertificate)
  if (bearerToken === ADMIN_TOKEN || bearerToken === `admin-of-${cluster}`) {
    return { user: 'admin', groups: [MASTERS_GROUP] }
  }
  return undefined
}

export interface MasterUnderTestOptions {
  readonly storeOptions?: Partial<StoreOptions>
  /** The program that talks to it: the installed one unless it is said. */
  readonly kubectl?: string
  /** Milliseconds of quiet before a cluster leaves memory; never unless it is said. */
  readonly suspendAfter?: number
}

export class MasterUnderTest {
  readonly directory: string
  /** The program that talks to it. */
  readonly kubectl: string
  readonly #authority: KeyPair
  readonly #server: KeyPair
  readonly #storeOptions: Partial<StoreOptions>
  readonly #suspendAfter: number
  #running: { store: RunningStore; master: KubernetesMaster; listener: HttpListener } | undefined
  #port = 0

  private constructor(
    directory: string,
    authority: KeyPair,
    server: KeyPair,
    { storeOptions = {}, kubectl = KUBECTL, suspendAfter = Number.POSITIVE_INFINITY }: MasterUnderTestOptions,
  ) {
    this.directory = directory
    this.kubectl = kubectl
    this.#suspendAfter = suspendAfter
    this.#authority = authority
    this.#server = server
    this.#storeOptions = storeOptions
  }

  /** Starts a master with the cluster `c1`; all of it is gone when the test ends. */
  static async start(t: Test, options: MasterUnderTestOptions = {}): Promise<MasterUnderTest> {
    const directory = await mkdtemp(path.join(tmpdir(), 'kubectl-'))
    const authority = await createCertificateAuthority('test', 2)
    const server = await issueCertificate(authority, {
      commonName: 'master',
      usage: 'server',
      ipAddresses: ['127.0.0.1'],
      validDays: 1,
    })
    const made = new MasterUnderTest(directory, authority, server, options)
    t.teardown(async () => {
      await made.stop()
      await rm(directory, { recursive: true, force: true })
    })
    await made.resume()
    await made.master.createCluster('c1')
    await made.writeConfig('admin', { token: ADMIN_TOKEN })
    return made
  }

  get master(): KubernetesMaster {
    if (this.#running === undefined) throw new Error('the master is stopped')
    return this.#running.master
  }

  url(cluster = 'c1'): string {
    return `https://127.0.0.1:${this.#port}/k8s/clusters/${cluster}`
  }

  get authority(): string {
    return this.#authority.certificate
  }

  get token(): string {
    return ADMIN_TOKEN
  }

  /** Starts again on the same data and port. */
  async resume(): Promise<void> {
    const store = await openStore({
      ...this.#storeOptions,
      database: path.join(this.directory, 'store.db'),
      log: silentLog,
    })
    const master = new KubernetesMaster({
      store,
      log: silentLog,
      authenticate,
      authority: this.authority,
      suspendAfter: this.#suspendAfter,
      serviceAccounts: { secret: 'a secret of the test', issuer: cluster => this.url(cluster) },
      nodes: {
        containerLogs: async (_cluster, node, { pod, container, options }) =>
          Readable.from([`${node} ${pod} ${container} tail=${options.tailLines ?? 'all'}\n`]),
        runCommand: async (_cluster, node, command) => echoCommand(node, command),
        connectToPod: async (_cluster, node, { port }) => echoPort(node, port),
        connectToNode: async (_cluster, node) => echoNodeApi(node),
        connectToKubelet: async () => Promise.reject(new Error('there is no kubelet')),
      },
    })
    await master.start()
    const listener = new HttpListener({
      name: 'https',
      host: '127.0.0.1',
      port: this.#port,
      tls: {
        cert: this.#server.certificate,
        key: this.#server.privateKey,
        ca: this.#authority.certificate,
        requestCert: true,
        rejectUnauthorized: false,
      },
      onRequest: (request, response) => {
        const { cluster, rest } = targetOf(request)
        void master.handle(cluster, rest, request, response)
      },
      onUpgrade: (request, socket, head) => {
        const { cluster, rest } = targetOf(request)
        void master.upgrade(cluster, rest, request, socket, head)
      },
    })
    await listener.start()
    this.#port = listener.port
    this.#running = { store, master, listener }
  }

  async stop(): Promise<void> {
    const running = this.#running
    this.#running = undefined
    await running?.listener.stop()
    await running?.master.stop()
    await running?.store.stop()
  }

  /** A client certificate of the authority that the listener believes. */
  certificate(commonName: string, organizations: string[]): Promise<KeyPair> {
    return issueCertificate(this.#authority, { commonName, organizations, usage: 'client', validDays: 1 })
  }

  /** Writes a kubeconfig; commands choose it by its name. */
  async writeConfig(
    name: string,
    user: { readonly token?: string; readonly certificate?: KeyPair },
    cluster = 'c1',
  ): Promise<void> {
    const encode = (text: string) => Buffer.from(text).toString('base64')
    const config = {
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [
        {
          name: 'c',
          cluster: { server: this.url(cluster), 'certificate-authority-data': encode(this.authority) },
        },
      ],
      users: [
        {
          name: 'u',
          user:
            user.certificate === undefined
              ? { token: user.token }
              : {
                  'client-certificate-data': encode(user.certificate.certificate),
                  'client-key-data': encode(user.certificate.privateKey),
                },
        },
      ],
      contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
      'current-context': 'x',
    }
    await writeFile(this.file(`${name}.kubeconfig`), JSON.stringify(config))
  }

  file(name: string): string {
    return path.join(this.directory, name)
  }

  async writeManifest(name: string, ...objects: unknown[]): Promise<string> {
    const file = this.file(name)
    await writeFile(file, objects.map(object => stringify(object)).join('---\n'))
    return file
  }

  /** What kubectl needs to find the cluster. */
  environment(config = 'admin'): Record<string, string> {
    // Its caches, and copies of edits that were refused, go with the test.
    return { KUBECONFIG: this.file(`${config}.kubeconfig`), HOME: this.directory, TMPDIR: this.directory }
  }

  /** Runs kubectl to its end, whatever that is. */
  async run(
    args: readonly string[],
    options: {
      readonly config?: string
      readonly input?: string
      readonly environment?: Record<string, string>
      readonly acceptedExitCodes?: readonly number[]
    } = {},
  ): Promise<CommandOutput> {
    const { config = 'admin', input, environment, acceptedExitCodes = [0, 1] } = options
    return await runCommand(this.kubectl, args, {
      ...(input === undefined ? {} : { input }),
      environment: { ...this.environment(config), ...environment },
      acceptedExitCodes,
      deadline: 60_000,
    })
  }

  /** Runs kubectl, which must succeed, and gives what it printed. */
  async ok(...args: string[]): Promise<string> {
    const { exitCode, stdout, stderr } = await this.run(args)
    if (exitCode !== 0) throw new Error(`kubectl ${args.join(' ')}: ${stderr}`)
    return stdout
  }

  /** Runs kubectl, which must fail, and gives what it complained about. */
  async fails(...args: string[]): Promise<string> {
    const { exitCode, stdout, stderr } = await this.run(args)
    if (exitCode === 0) throw new Error(`kubectl ${args.join(' ')} did not fail: ${stdout}`)
    return stderr
  }

  async json(...args: string[]) {
    return JSON.parse(await this.ok(...args, '-o', 'json'))
  }

  /** Starts kubectl and reads what it prints as it comes. */
  follow(t: Test, args: readonly string[]): RunningKubectl {
    const child = spawn(this.kubectl, args, {
      env: { ...process.env, ...this.environment() },
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    const lines = new BoundedQueue<string>('kubectl', 10_000, 'reject')
    let rest = ''
    child.stdout.setEncoding('utf8')
    child.stdout.on('data', (text: string) => {
      const parts = (rest + text).split('\n')
      rest = parts.pop() ?? ''
      for (const line of parts) lines.push(line)
    })
    const ended = new Promise<void>(resolve => child.once('close', () => resolve()))
    void ended.then(() => lines.close())
    const stop = async () => {
      child.kill('SIGKILL')
      await ended
    }
    t.teardown(stop)
    return { nextLine: async () => (await lines.next()).value, stop }
  }
}
