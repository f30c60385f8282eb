/**
 * An agent that is killed again and again while containers come and go. Whatever was going on: once it may finish, the
 * kernel holds exactly what the model says, no more and no less: in IPv4 and in IPv6.
 *
 * `INTERRUPTIONS=200` for the long run, `SEED=N` for the same one again.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, rmSync } from 'node:fs'
import path from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import t from 'tap'
import type { NetworkSettings } from '../../../agent/network/index.ts'
import { requireIpv6Prefix, withIpv6Prefix } from '../../../kit/index.ts'
import { attachedPrograms } from '../../../netplugins/bpf/index.ts'
import { until } from '../../lab/fleet.ts'
import { inPrivateNetwork } from '../../lab/private-network.ts'
import {
  BRIDGE,
  type HostDirectories,
  makeHostDirectories,
  makeHostNetwork,
  makeRuntime,
  SETTINGS,
} from './host.ts'
import {
  addNamespace,
  connectOutside,
  deleteNamespace,
  HOST_ADDRESS,
  namespacePath,
  run,
  runIn,
} from './lab.ts'

const skip = inPrivateNetwork(import.meta.filename)

const INTERRUPTIONS = Number(process.env.INTERRUPTIONS ?? 25)
const SEED = Number(process.env.SEED ?? Date.now() % 1_000_000)

t.setTimeout(60_000 + INTERRUPTIONS * 15_000)

const PREFIX = requireIpv6Prefix('fd42::/96', 'prefix')

const DUAL_STACK: NetworkSettings = {
  ...SETTINGS,
  address: HOST_ADDRESS,
  network: { kind: 'vxlan', options: { ipv6Prefix: PREFIX.text }, hostPorts: true },
}

const NAMES = Array.from({ length: 10 }, (_, n) => `churn-${n}`)

/** Park and Miller's generator: the same numbers for the same seed. */
function randomNumbers(seed: number): () => number {
  let state = (seed % 2_147_483_646) + 1
  return () => {
    state = (state * 48_271) % 2_147_483_647
    return state / 2_147_483_647
  }
}

function attachment(name: string) {
  return { containerId: name, namespace: namespacePath(name), interfaceName: 'eth0' }
}

function hostPort(name: string): number {
  return 22_000 + NAMES.indexOf(name)
}

function startAgent(directories: HostDirectories): ChildProcess {
  return spawn(
    process.execPath,
    [
      '--disable-warning=ExperimentalWarning',
      path.join(import.meta.dirname, 'agent-process.ts'),
      JSON.stringify(directories),
      JSON.stringify(DUAL_STACK),
    ],
    { stdio: ['ignore', 'ignore', 'ignore', 'ipc'] },
  )
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = once(child, 'exit')
  child.kill('SIGKILL')
  await ended
}

/** How many programs see what comes in by each link of ours, and what leaves. */
function programs(): Record<string, string> {
  const links = JSON.parse(run('ip', '-json', 'link', 'show')) as { ifname: string; ifindex: number }[]
  const ours = links.filter(({ ifname }) => ifname !== 'lo' && ifname !== 'eth0')
  return Object.fromEntries(
    ours.map(({ ifname, ifindex: link }) => {
      const count = (direction: 'ingress' | 'egress') => attachedPrograms({ link, direction }).length
      return [ifname.startsWith('vethr') ? 'container' : ifname, `${count('ingress')} ${count('egress')}`]
    }),
  )
}

/** What there is of containers in the kernel and on disk. */
function actualState(directories: HostDirectories) {
  const links = JSON.parse(run('ip', '-json', 'link', 'show')) as { ifname: string; master?: string }[]
  const ours = links.filter(link => link.ifname.startsWith('vethr'))
  const files = (name: string) =>
    readdirSync(path.join(directories.dataDirectory, 'network', name)).filter(file => file !== 'cursor')
  const rules = run('iptables-save')
    .split('\n')
    .flatMap(
      rule =>
        /-A CATTLE_PREROUTING .*--dport (22\d{3}) -j DNAT --to-destination (\S+)/
          .exec(rule)
          ?.slice(1)
          .join(' ') ?? [],
    )
  const sources = [
    ...run('nft', 'list', 'set', 'bridge', 'drover', 'sources').matchAll(/"(vethr\w+)" \. \S+ \. ([\d.]+)/g),
  ]
  const sources6 = [
    ...run('nft', 'list', 'set', 'bridge', 'drover', 'sources6').matchAll(
      /"(vethr\w+)" \. .* \. (fd42:[\da-f:]+)/g,
    ),
  ]
  const neighbours = run('ip', '-6', 'neighbour', 'show', 'dev', BRIDGE, 'nud', 'permanent')
  return {
    links: ours.map(link => `${link.ifname} ${link.master}`).toSorted(),
    addresses: files('addresses').toSorted(),
    records: files('attachments').length,
    ports: rules.toSorted(),
    sources: sources.map(([, link, address]) => `${link} ${address}`).toSorted(),
    sources6: sources6.map(([, link, address]) => `${link} ${address}`).toSorted(),
    neighbours: [...neighbours.matchAll(/^fd42:\S+/gm)].map(String).toSorted(),
    inside: NAMES.filter(name => runIn(name, 'ip', 'link').includes('eth0')),
  }
}

t.test(`${INTERRUPTIONS} interruptions while containers come and go (seed ${SEED})`, { skip }, async t => {
  const random = randomNumbers(SEED)
  const directories = await makeHostDirectories()
  const runtime = makeRuntime(directories)
  NAMES.forEach(addNamespace)
  connectOutside()
  /** What the runtime was told last: an address, or that it is gone; undefined while it must be deleted to know. */
  const model = new Map<string, string | 'gone' | undefined>(NAMES.map(name => [name, 'gone']))
  let agent = startAgent(directories)
  t.teardown(() => kill(agent))
  const counts = { done: 0, cut: 0 }

  const step = async (name: string): Promise<void> => {
    const state = model.get(name)
    try {
      if (state === 'gone') {
        model.set(name, undefined)
        const portMappings = [{ hostPort: hostPort(name), containerPort: 80 }]
        const result = await runtime.add({ ...attachment(name), portMappings })
        model.set(name, result.ips[0]?.address.split('/')[0])
      } else {
        model.set(name, undefined)
        await runtime.delete(attachment(name))
        model.set(name, 'gone')
      }
      counts.done += 1
    } catch {
      counts.cut += 1
    }
  }

  const ready = once(agent, 'message')
  await ready
  for (let round = 0; round < INTERRUPTIONS; round += 1) {
    const busy = NAMES.filter(() => random() < 0.5)
    const steps = Promise.all(busy.map(step))
    // Anywhere from "has just been asked" to "has done all of it", and every fourth time while it is starting.
    await Promise.race([steps, new Promise(resolve => setTimeout(resolve, random() * 1_200))])
    await kill(agent)
    await steps
    agent = startAgent(directories)
    const started = once(agent, 'message')
    if (round % 4 === 3) {
      await Promise.race([started, new Promise(resolve => setTimeout(resolve, random() * 1_000))])
      await kill(agent)
      agent = startAgent(directories)
      await once(agent, 'message')
    } else {
      await started
    }
  }
  t.ok(counts.done > 0 && counts.cut > 0, `${counts.done} steps done, ${counts.cut} cut off`)
  // A runtime that does not know what came of its request deletes.
  for (const name of NAMES) if (model.get(name) === undefined) await step(name)
  const attached = NAMES.filter(name => model.get(name) !== 'gone')
  await runtime.collectGarbage(attached.map(name => ({ containerId: name, interfaceName: 'eth0' })))

  for (const name of attached) await runtime.check(name, 'eth0')
  const actual = actualState(directories)
  const addressOf = (name: string) => model.get(name) ?? ''
  t.equal(actual.links.length, attached.length)
  t.ok(actual.links.every(link => link.endsWith(` ${BRIDGE}`)))
  t.strictSame(actual.addresses, attached.map(addressOf).toSorted())
  t.equal(actual.records, attached.length)
  t.strictSame(actual.ports, attached.map(name => `${hostPort(name)} ${addressOf(name)}:80`).toSorted())
  t.strictSame(
    actual.sources.map(source => source.split(' ')[1]).toSorted(),
    attached.map(addressOf).toSorted(),
  )
  t.strictSame(
    actual.sources.map(source => source.split(' ')[0]),
    actual.links.map(link => link.split(' ')[0]),
  )
  t.strictSame(actual.inside, attached)
  const addresses6 = attached.map(name => withIpv6Prefix(PREFIX, addressOf(name))).toSorted()
  t.strictSame(actual.neighbours, addresses6)
  t.strictSame(actual.sources6.map(source => source.split(' ')[1]).toSorted(), addresses6)
  // Known flows: a second after a link came.
  const wanted = { ...(attached.length > 0 ? { container: '1 0' } : {}), [BRIDGE]: '0 1', vtep1042: '1 1' }
  await until('flows can take their short way', 10_000, () =>
    Promise.resolve(isDeepStrictEqual(programs(), wanted)),
  ).catch(() => t.strictSame(programs(), wanted))
  t.match(run('nft', 'list', 'tables'), 'table ip drover_flows')
  await kill(agent)
  const last = makeHostNetwork(directories)
  await last.start()
  await last.uninstall()
  t.notMatch(run('ip', 'link'), /vethr|drover0|vtep/)
  t.equal(run('sysctl', '-n', 'net.netfilter.nf_conntrack_tcp_be_liberal').trim(), '0')
  t.notMatch(run('nft', 'list', 'ruleset'), /CATTLE|drover/)
  t.equal(run('sysctl', '-n', 'net.ipv6.conf.all.forwarding').trim(), '0')
  NAMES.forEach(deleteNamespace)
  rmSync(path.dirname(directories.dataDirectory), { recursive: true })
})
