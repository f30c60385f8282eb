/**
 * A server that says nothing for an hour. The hour is the agent's own: its clocks, also the one of its timers, are moved
 * on by libfaketime, so that every time limit and every period of the agent comes to its end many times.
 */
import { readdirSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import t from 'tap'
import { DATA, Fleet, until, WEB_EXAMPLE } from '../../lab/fleet.ts'
import { inPrivateNetwork } from '../../lab/private-network.ts'

t.setTimeout(200_000)

const LIBRARY = readdirSync('/usr/lib')
  .map(folder => path.join('/usr/lib', folder, 'faketime'))
  .flatMap(folder => {
    try {
      return readdirSync(folder).map(file => path.join(folder, file))
    } catch {
      return []
    }
  })
  .find(file => file.includes('libfaketimeMT.so'))

const skip = inPrivateNetwork(import.meta.filename) || (LIBRARY === undefined && 'faketime is not installed')

const STACK = ['io.rancher.stack.name=web']
/** Steps in which the hour passes, and the seconds of each. */
const STEPS = 6
const STEP_SECONDS = 600

t.test('an hour without a word of the server', { skip }, async t => {
  const directory = await mkdtemp(path.join(tmpdir(), 'drover-hour-'))
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  const time = path.join(directory, 'time')
  await writeFile(time, '+0s')
  const fleet = await Fleet.start(t, 'hour')
  await fleet.drover(['stack', 'up', '-f', WEB_EXAMPLE])
  const kill = async (daemon: 'server' | 'agent') => {
    await fleet.first.run('busybox', ['kill', '-9', String(await fleet.daemonPid(daemon))])
  }
  const inClient = async (...command: string[]) => (await fleet.inContainer('web-client-1', command)).stdout
  const fetch = (url: string) => inClient('timeout', '5', 'wget', '-q', '-O', '-', url)
  const metric = async (name: string) => {
    const { stdout } = await fleet.first.run('curl', ['--silent', 'http://127.0.0.1:9347/metrics'])
    return Number(new RegExp(`^${name}(?:\\{[^}]*\\})? (\\S+)$`, 'm').exec(stdout)?.[1])
  }
  /** Milliseconds by which the agent's clock is ahead. */
  const ahead = async () => {
    const { stdout } = await fleet.first.run('curl', ['--silent', '--head', 'http://127.0.0.1:9347/metrics'])
    return Date.parse(/^date: (.*)$/im.exec(stdout)?.[1]?.trim() ?? '') - Date.now()
  }
  /** Everything that a container may ask, and what runs. */
  const answers = async () => ({
    self: await fetch('http://rancher-metadata/latest/self/container'),
    services: await fetch('http://rancher-metadata/latest/services'),
    names: (await inClient('nslookup', 'web')).split('\n').toSorted(),
    web: (await fetch('http://web/')).startsWith('hello from'),
    running: (await fleet.docker(STACK)).map(({ id }) => id).toSorted(),
  })

  await kill('agent')
  fleet.first.start('./drover', ['agent', '--data', `${DATA}/agent`], 'agent-in-its-own-time', {
    LD_PRELOAD: LIBRARY,
    FAKETIME_TIMESTAMP_FILE: time,
    FAKETIME_CACHE_DURATION: '1',
  })
  await until('the agent is back', 20_000, async () => {
    const [host] = await fleet.list('hosts')
    return (
      host?.agentState === 'active' &&
      (await fetch('http://rancher-metadata/latest/version').catch(() => '')) !== ''
    )
  })
  const before = await answers()
  t.equal(before.running.length, 4)
  t.ok(before.web)
  const began = await metric('process_start_time_seconds')
  await kill('server')

  for (let step = 1; step <= STEPS; step += 1) {
    await writeFile(time, `+${step * STEP_SECONDS}s`)
    await until(
      'so late it is for the agent',
      20_000,
      async () => (await ahead()) > (step * STEP_SECONDS - 60) * 1000,
    )
    t.same(await answers(), before, `after ${(step * STEP_SECONDS) / 60} minutes`)
  }
  const [victim] = await fleet.docker(['io.rancher.container.name=web-web-2'])
  await fleet.first.run('docker', ['kill', victim?.id ?? ''])
  await until(
    'a container that ends is started again after an hour too',
    10_000,
    async () => (await fleet.docker(['io.rancher.container.name=web-web-2'])).length === 1,
  )

  await fleet.quickstart()
  await until('the host is active again', 60_000, async () => {
    const [host] = await fleet.list('hosts')
    return host?.agentState === 'active'
  })
  t.equal(await metric('process_start_time_seconds'), began, 'it is the same agent')
  t.equal(await metric('drover_metadata_full_syncs_total'), 0, 'it went on where it was')
  await until(
    'what happened meanwhile is told',
    20_000,
    async () => (await fleet.containers()).get('web-web-2')?.startCount === 2,
  )
})
