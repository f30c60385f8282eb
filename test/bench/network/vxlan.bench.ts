/**
 * How much a TCP connection between containers of two hosts carries, beside a VXLAN network that was made by hand with `ip`
 * between two hosts in the same run, in turns: hosts without any firewall, and hosts with Docker's, as every host of ours is,
 * where the kernel already follows connections and translates addresses.
 */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { namespacePath } from '../../e2e/network/lab.ts'
import { BRIDGE, CLUSTER, OverlayHost, pings, startSwitch, stateOf } from '../../e2e/network/overlay/world.ts'
import { inPrivateNetwork } from '../../lab/private-network.ts'
import { type PrintFigure, printLine, rounded } from '../figures.ts'
import { passOn } from './pass-on.ts'
import { throughputInTurns } from './throughput.ts'

function makeByHand(host: OverlayHost, other: OverlayHost): void {
  const mac = (of: OverlayHost) => `02:aa:00:00:00:0${of.name.slice(1)}`
  const vxlan = ['type', 'vxlan', 'id', '42', 'dstport', '4789', 'local', host.address, 'nolearning']
  host.run('ip', 'link', 'add', 'vxlan0', 'address', mac(host), 'mtu', '1450', ...vxlan)
  host.run('ip', 'link', 'set', 'vxlan0', 'up')
  host.run('bridge', 'fdb', 'add', mac(other), 'dev', 'vxlan0', 'dst', other.address)
  host.run('ip', 'neighbour', 'add', other.address, 'lladdr', mac(other), 'dev', 'vxlan0', 'nud', 'permanent')
  host.run('ip', 'route', 'add', other.block, 'via', other.address, 'dev', 'vxlan0', 'onlink')
}

/** What Docker makes when it starts, and what one adds by hand so that containers get through. */
const DOCKER_RULES = `*nat
:DOCKER -
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
-A POSTROUTING -s ${CLUSTER} ! -d ${CLUSTER} ! -o ${BRIDGE} -j MASQUERADE
-A DOCKER -i docker0 -j RETURN
COMMIT
*filter
:FORWARD DROP
:DOCKER -
:DOCKER-ISOLATION-STAGE-1 -
:DOCKER-ISOLATION-STAGE-2 -
:DOCKER-USER -
-A FORWARD -j DOCKER-USER
-A FORWARD -j DOCKER-ISOLATION-STAGE-1
-A FORWARD -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A FORWARD -o docker0 -j DOCKER
-A FORWARD -i docker0 ! -o docker0 -j ACCEPT
-A FORWARD -i docker0 -o docker0 -j ACCEPT
-A FORWARD -i ${BRIDGE} -j ACCEPT
-A FORWARD -o ${BRIDGE} -j ACCEPT
-A DOCKER-ISOLATION-STAGE-1 -i docker0 ! -o docker0 -j DOCKER-ISOLATION-STAGE-2
-A DOCKER-ISOLATION-STAGE-1 -j RETURN
-A DOCKER-ISOLATION-STAGE-2 -o docker0 -j DROP
-A DOCKER-ISOLATION-STAGE-2 -j RETURN
-A DOCKER-USER -j RETURN
COMMIT
`

function installDockerRules(host: OverlayHost): void {
  execFileSync('nsenter', [`--net=${namespacePath(host.name)}`, 'iptables-restore'], { input: DOCKER_RULES })
}

async function benchInside(print: PrintFigure): Promise<void> {
  startSwitch()
  const start = (number: number) => OverlayHost.start({ number, kind: 'vxlan' })
  const [a, b, x, y] = [await start(1), await start(2), await start(3), await start(4)]
  for (const host of [a, b]) {
    await host.apply(stateOf(host, [a, b]))
    await host.offload()
  }
  makeByHand(x, y)
  makeByHand(y, x)
  const servers = [b, y].map(host =>
    spawn('nsenter', [`--net=${namespacePath(host.containerName)}`, 'iperf3', '-s'], { stdio: 'ignore' }),
  )
  try {
    for (const [from, to] of [
      [a, b],
      [x, y],
    ] as const) {
      if (!pings(from.containerName, to.container)) throw new Error(`${from.name} does not reach ${to.name}`)
    }
    const way = (from: OverlayHost, to: OverlayHost) => ({ from: from.containerName, to: to.container })
    const compare = async (name: string) => {
      const { value, peer, ratio } = await throughputInTurns(way(a, b), way(x, y), '128M')
      print({
        bench: 'network',
        name: 'vxlan: TCP between containers of two hosts',
        value: rounded(value),
        unit: 'Gbit/s',
        peer: { name, value: rounded(peer), ratio: rounded(ratio) },
        budget: 'ratio >= 0.95',
      })
    }
    await compare('kernel VXLAN by hand, without a firewall')
    for (const host of [x, y]) installDockerRules(host)
    await compare('kernel VXLAN by hand, on hosts with Docker')
  } finally {
    for (const server of servers) {
      server.kill()
      await once(server, 'exit')
    }
    for (const host of [a, b, x, y]) await host.stop()
  }
}

/** Runs in a private network of its own, as root; needs iperf3. */
export async function bench(print: PrintFigure): Promise<void> {
  await passOn(import.meta.filename, print)
}

if (process.argv[1] === import.meta.filename) {
  const obstacle = inPrivateNetwork(import.meta.filename)
  if (obstacle !== false) throw new Error(obstacle)
  await benchInside(printLine)
}
