/**
 * How much a TCP connection between containers of two hosts carries through our tunnel, beside a tunnel that was made by
 * hand with strongSwan's own configuration files between two hosts of the same kind: same algorithms, same encryption
 * behind a TUN device, in the same run, in turns.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { BRIDGE, type Container, IpsecHost, makeWire, until } from '../../e2e/network/ipsec-lab.ts'
import { namespacePath } from '../../e2e/network/lab.ts'
import { inPrivateNetwork } from '../../lab/private-network.ts'
import { type PrintFigure, printLine, rounded } from '../figures.ts'
import { passOn } from './pass-on.ts'
import { throughputInTurns } from './throughput.ts'

/** As one would write it after reading the manual of kernel-libipsec. */
function strongswanConf(directory: string): string {
  return `charon {
  load = random nonce aesni openssl aes sha1 sha2 hmac kdf gcm drbg pem pkcs1 pkcs8 pubkey x509 kernel-libipsec kernel-netlink socket-default vici
  plugins {
    vici {
      socket = unix://${directory}/vici
    }
  }
}
`
}

function swanctlConf(host: IpsecHost, other: IpsecHost): string {
  return `connections {
  hand {
    version = 2
    local_addrs = ${host.address}
    remote_addrs = ${other.address}
    proposals = aes128gcm16-prfsha256-curve25519
    local {
      auth = psk
      id = ${host.address}
    }
    remote {
      auth = psk
      id = ${other.address}
    }
    children {
      net {
        local_ts = ${host.blocks[0]}
        remote_ts = ${other.blocks[0]}
        esp_proposals = aes128gcm16
      }
    }
  }
}
secrets {
  ike-hand {
    secret = "a-secret-of-the-bench"
  }
}
`
}

/** Starts a charon by hand, with a /run of its own for its pid file. */
async function startByHand(host: IpsecHost, other: IpsecHost): Promise<ChildProcess> {
  const directory = path.join(host.directory, 'hand')
  mkdirSync(directory)
  const settings = path.join(directory, 'strongswan.conf')
  writeFileSync(settings, strongswanConf(directory))
  writeFileSync(path.join(directory, 'swanctl.conf'), swanctlConf(host, other))
  // kernel-libipsec wants an address of the host in the block.
  host.run('ip', 'address', 'add', `${host.blocks[0]?.split('/')[0]}/32`, 'dev', BRIDGE)
  const inOwnRun = ['mount -t tmpfs tmpfs /run && exec /usr/lib/ipsec/charon']
  const child = spawn(
    'nsenter',
    [`--net=${namespacePath(host.name)}`, 'unshare', '--mount', 'sh', '-c', ...inOwnRun],
    // In a session of its own, as daemons are: the kernel shares processors out among sessions.
    { detached: true, stdio: 'ignore', env: { ...process.env, STRONGSWAN_CONF: settings } },
  )
  const load = () => swanctl(host, '--load-all', '--noprompt', '--file', path.join(directory, 'swanctl.conf'))
  await until('charon by hand', load, isLoaded => isLoaded)
  return child
}

function swanctl(host: IpsecHost, ...args: string[]): boolean {
  try {
    host.run('swanctl', ...args, '--uri', `unix://${path.join(host.directory, 'hand', 'vici')}`)
    return true
  } catch {
    return false
  }
}

async function benchInside(print: PrintFigure): Promise<void> {
  makeWire()
  const keys = { kind: 'psk', current: 'a-secret-of-the-bench' } as const
  const [a, b, x, y] = [new IpsecHost(1, keys), new IpsecHost(2, keys), new IpsecHost(3), new IpsecHost(4)]
  const [ca, cb] = [await a.addContainer(5), await b.addContainer(5)]
  const [cx, cy] = [await x.addContainer(5), await y.addContainer(5)]
  const servers = [cb, cy].map(({ name }) =>
    spawn('nsenter', [`--net=${namespacePath(name)}`, 'iperf3', '-s'], { stdio: 'ignore' }),
  )
  for (const host of [a, b]) await host.start()
  for (const host of [a, b]) await host.apply([a, b])
  await a.untilPeer(b, 'up')
  const byHand = [await startByHand(x, y), await startByHand(y, x)]
  try {
    await until('tunnel by hand', () => swanctl(x, '--initiate', '--child', 'net'), Boolean)
    for (const [from, to] of [
      [ca, cb],
      [cx, cy],
    ] as const)
      await from.peer.ask('tcp', to.address, 80)
    const way = (from: Container, to: Container) => ({ from: from.name, to: to.address })
    const { value, peer, ratio } = await throughputInTurns(way(ca, cb), way(cx, cy), '16M')
    print({
      bench: 'network',
      name: 'ipsec (userspace): TCP between containers of two hosts',
      value: rounded(value),
      unit: 'Gbit/s',
      peer: { name: 'strongSwan by hand', value: rounded(peer), ratio: rounded(ratio) },
      budget: 'ratio >= 0.95',
    })
  } finally {
    for (const host of [a, b]) await host.remove()
    for (const container of [ca, cb, cx, cy]) await container.peer.stop()
    for (const child of [...servers, ...byHand]) {
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
    for (const host of [a, b, x, y]) host.dispose()
  }
}

/** Runs in a private network of its own, as root; needs iperf3 and swanctl. */
export async function bench(print: PrintFigure): Promise<void> {
  await passOn(import.meta.filename, print)
}

if (process.argv[1] === import.meta.filename) {
  const obstacle = inPrivateNetwork(import.meta.filename)
  if (obstacle !== false) throw new Error(obstacle)
  await benchInside(printLine)
}
