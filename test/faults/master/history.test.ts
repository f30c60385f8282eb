/** The API is killed again and again while many write with preconditions: nothing acknowledged is lost, no watch lies. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import path from 'node:path'
import t from 'tap'
import { MariadbServer, missingMariadb } from '../../e2e/store/mariadb-server.ts'
import { type Acknowledged, type History, historyProblems, type Seen, type Version } from './history.ts'

const REGISTERS = ['a', 'b', 'c', 'd']
const WRITERS = 12
const KILLS = 4
/** Acknowledged writes between two kills. */
const ROUND = 150
const MAPS = '/api/v1/namespaces/default/configmaps'

interface MapObject {
  readonly metadata: { readonly name: string; readonly resourceVersion: string }
  readonly data?: { readonly log?: string }
}

function versionOf({ metadata, data }: MapObject): Version {
  return {
    name: metadata.name,
    revision: Number(metadata.resourceVersion),
    operations: (data?.log ?? '').split(' ').filter(Boolean),
  }
}

class Api {
  readonly #database: string
  #process: ChildProcess | undefined
  port = 0

  constructor(database: string) {
    this.#database = database
  }

  async start(): Promise<void> {
    const child = fork(path.join(import.meta.dirname, 'api-process.ts'), [this.#database], {
      execArgv: ['--disable-warning=ExperimentalWarning'],
    })
    this.#process = child
    const [port] = (await once(child, 'message')) as [number]
    this.port = port
  }

  async kill(): Promise<void> {
    const child = this.#process
    if (child === undefined) return
    this.#process = undefined
    const gone = once(child, 'exit')
    child.kill('SIGKILL')
    await gone
  }

  /** @returns undefined when there was no answer */
  async ask(
    method: string,
    place: string,
    body?: unknown,
  ): Promise<{ status: number; body: unknown } | undefined> {
    const text = body === undefined ? '' : JSON.stringify(body)
    const { promise, resolve } = Promise.withResolvers<{ status: number; body: unknown } | undefined>()
    const outgoing = request(
      {
        host: '127.0.0.1',
        port: this.port,
        method,
        path: place,
        headers: { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) },
      },
      answer => {
        let received = ''
        answer.setEncoding('utf8')
        answer.on('data', (chunk: string) => {
          received += chunk
        })
        answer.on('error', () => resolve(undefined))
        answer.on('end', () => resolve({ status: answer.statusCode ?? 0, body: JSON.parse(received) }))
      },
    )
    outgoing.on('error', () => resolve(undefined))
    outgoing.end(text)
    return await promise
  }

  /** One connection of a watch, to its end. */
  async watch(after: number, onLine: (line: string) => void, signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    const query = `watch=true&allowWatchBookmarks=true&labelSelector=test&timeoutSeconds=2&resourceVersion=${after}`
    const outgoing = request(
      { host: '127.0.0.1', port: this.port, path: `${MAPS}?${query}`, signal },
      answer => {
        let rest = ''
        answer.setEncoding('utf8')
        answer.on('data', (chunk: string) => {
          const lines = (rest + chunk).split('\n')
          rest = lines.pop() ?? ''
          lines.forEach(onLine)
        })
        answer.on('error', () => resolve())
        answer.on('end', resolve)
      },
    )
    outgoing.on('error', () => resolve())
    outgoing.end()
    await promise
  }
}

const pause = () => new Promise(resolve => setTimeout(resolve, 10))

class Run {
  readonly #api: Api
  readonly acknowledged: Acknowledged[] = []
  readonly #end = new AbortController()
  #next = 0

  constructor(api: Api) {
    this.#api = api
  }

  stop(): void {
    this.#end.abort()
  }

  /** Reads, appends, writes what it has read with its revision as the precondition. */
  async write(): Promise<void> {
    while (!this.#end.signal.aborted) {
      const name = REGISTERS[this.#next % REGISTERS.length] ?? ''
      const operation = `op${this.#next}`
      this.#next += 1
      const read = await this.#api.ask('GET', `${MAPS}/${name}`)
      if (read?.status !== 200) {
        await pause()
        continue
      }
      const before = versionOf(read.body as MapObject)
      const object = {
        metadata: { name, labels: { test: '' }, resourceVersion: String(before.revision) },
        data: { log: [...before.operations, operation].join(' ') },
      }
      const written = await this.#api.ask('PUT', `${MAPS}/${name}`, object)
      if (written?.status === 200) {
        this.acknowledged.push({ ...versionOf(written.body as MapObject), operation, read: before.revision })
      }
    }
  }

  /** Watches from the beginning, and goes on after each break from where it was. */
  async watch(from: number, done: (seen: readonly Seen[]) => boolean): Promise<Seen[]> {
    const seen: Seen[] = []
    let latest = from
    while (!done(seen)) {
      await this.#api.watch(
        latest,
        line => {
          const { type, object } = JSON.parse(line) as { type: string; object: MapObject }
          if (type === 'ERROR') throw new Error(line)
          const version = versionOf(object)
          latest = Math.max(latest, version.revision)
          seen.push(
            type === 'BOOKMARK'
              ? { type: 'bookmark', revision: version.revision }
              : { type: 'event', ...version },
          )
        },
        AbortSignal.timeout(20_000),
      )
      await pause()
    }
    return seen
  }
}

async function exercise(database: string): Promise<History> {
  const api = new Api(database)
  await api.start()
  try {
    for (const name of REGISTERS) await api.ask('POST', MAPS, { metadata: { name, labels: { test: '' } } })
    const list = (await api.ask('GET', MAPS))?.body as { metadata: { resourceVersion: string } }
    const from = Number(list.metadata.resourceVersion)
    const run = new Run(api)
    let final = Number.POSITIVE_INFINITY
    const caughtUp = (seen: readonly Seen[]) => (seen.at(-1)?.revision ?? 0) >= final
    const watchers = [1, 2, 3].map(() => run.watch(from, caughtUp))
    const writers = Array.from({ length: WRITERS }, () => run.write())
    for (let kill = 0; kill < KILLS; kill += 1) {
      const goal = run.acknowledged.length + ROUND
      while (run.acknowledged.length < goal) await pause()
      await api.kill()
      await api.start()
    }
    run.stop()
    await Promise.all(writers)
    const all = (await api.ask('GET', `${MAPS}?labelSelector=test`))?.body as { items: MapObject[] }
    const last = all.items.map(versionOf)
    final = Math.max(...last.map(({ revision }) => revision))
    return { acknowledged: run.acknowledged, watchers: await Promise.all(watchers), last }
  } finally {
    await api.kill()
  }
}

async function check(
  t: { ok(value: boolean, what: string): unknown; strictSame(a: unknown, b: unknown, what: string): unknown },
  database: string,
) {
  const history = await exercise(database)
  t.ok(history.acknowledged.length >= KILLS * ROUND, `${history.acknowledged.length} acknowledged writes`)
  t.ok(
    history.watchers.every(seen => seen.length > 0),
    'the watchers saw something',
  )
  t.strictSame(historyProblems(history).slice(0, 10), [], 'the history is right')
}

t.test('on SQLite', { timeout: 120_000 }, async t => {
  const directory = await mkdtemp(path.join(tmpdir(), 'history-'))
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  await check(t, path.join(directory, 'store.db'))
})

t.test('on MariaDB', { skip: await missingMariadb(), timeout: 200_000 }, async t => {
  const server = await MariadbServer.start(end => t.teardown(end))
  await check(t, await server.createDatabase('history'))
})

t.test('the checker sees what is wrong', async t => {
  const version = (revision: number, ...operations: string[]): Version => ({
    name: 'a',
    revision,
    operations,
  })
  const event = (revision: number, ...operations: string[]): Seen => ({
    type: 'event',
    ...version(revision, ...operations),
  })
  const good: History = {
    acknowledged: [
      { ...version(2, 'x'), operation: 'x', read: 1 },
      { ...version(3, 'x', 'y'), operation: 'y', read: 2 },
    ],
    watchers: [[event(2, 'x'), { type: 'bookmark', revision: 2 }, event(3, 'x', 'y')]],
    last: [version(3, 'x', 'y')],
  }
  t.strictSame(historyProblems(good), [])
  const wrong: Partial<History>[] = [
    { last: [version(3, 'y')] },
    { last: [version(3, 'x', 'y', 'x')] },
    { watchers: [[event(3, 'x', 'y')]] },
    { watchers: [[event(2, 'x'), event(2, 'x'), event(3, 'x', 'y')]] },
    { watchers: [[event(3, 'x', 'y'), event(2, 'x')]] },
    { watchers: [[event(2, 'x'), { type: 'bookmark', revision: 3 }, event(3, 'x', 'y')]] },
    { watchers: [[event(2, 'x'), event(3, 'x', 'y')], [event(2, 'x')]] },
    { watchers: [[event(2, 'x'), event(3, 'z', 'y')]] },
    { acknowledged: [...good.acknowledged, { ...version(3, 'x', 'y'), operation: 'y', read: 2 }] },
    { acknowledged: [{ ...version(3, 'x', 'y'), operation: 'y', read: 1 }] },
  ]
  for (const [index, part] of wrong.entries())
    t.not(historyProblems({ ...good, ...part }).length, 0, `mistake ${index}`)
})
