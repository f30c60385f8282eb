/** Pods of a fleet as kubectl makes them, and processes in their networks that talk. */
import type { Test } from 'tap'
import { stringify } from 'yaml'
import { LABEL } from '../../../protocol/index.ts'
import { Fleet, until } from '../../lab/fleet.ts'
import type { VirtualHost } from '../../lab/virtual-host.ts'
import { Peer } from '../network/lab.ts'
import type { Protocol } from '../network/peer.ts'

export interface PodWish {
  readonly name: string
  readonly namespace?: string
  /** Number of the host that it is on. */
  readonly host: number
  readonly labels?: Readonly<Record<string, string>>
  readonly ports?: readonly { readonly name: string; readonly containerPort: number }[]
}

export interface RunningPod {
  readonly name: string
  readonly host: VirtualHost
  readonly address: string
  readonly peer: Peer
}

/** Milliseconds for whatever has to get from kubectl to the packets. */
const SETTLED = 20_000

function manifestOf({ name, namespace = 'default', host, labels = {}, ports = [] }: PodWish): object {
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name, namespace, labels },
    spec: {
      nodeName: `h${host}`,
      terminationGracePeriodSeconds: 0,
      automountServiceAccountToken: false,
      containers: [
        {
          name: 'main',
          image: 'drover/busybox:1',
          imagePullPolicy: 'Never',
          command: ['sh', '-c', "trap 'exit 0' TERM; sleep 100000 & wait"],
          ports,
        },
      ],
    },
  }
}

export class PodFleet {
  readonly fleet: Fleet
  readonly #peers: Peer[] = []

  private constructor(fleet: Fleet) {
    this.fleet = fleet
  }

  static async start(t: Test, name: string, hosts: number): Promise<PodFleet> {
    const fleet = await Fleet.start(t, name, hosts)
    for (let number = 2; number <= hosts; number += 1) await fleet.join(number)
    const made = new PodFleet(fleet)
    t.teardown(async () => {
      await Promise.all(made.#peers.map(peer => peer.stop()))
    })
    return made
  }

  /** `kubectl apply` of any objects. */
  async apply(...objects: readonly object[]): Promise<void> {
    await this.fleet.kubectl(['apply', '-f', '-'], {
      input: objects.map(each => stringify(each)).join('---\n'),
    })
  }

  async delete(...args: readonly string[]): Promise<void> {
    await this.fleet.kubectl(['delete', ...args])
  }

  /** Pods that run, each with a process that says who it is on the ports. */
  async run(
    wishes: readonly PodWish[],
    ports: readonly (readonly [Protocol, number])[],
  ): Promise<RunningPod[]> {
    await this.apply(...wishes.map(manifestOf))
    return await Promise.all(wishes.map(wish => this.#runOne(wish, ports)))
  }

  /** A process that talks from a host itself, or from a machine of the lab. */
  async onHost(host: VirtualHost): Promise<Peer> {
    const peer = await Peer.startIn(host.name, `/proc/${host.holder}/ns/net`)
    this.#peers.push(peer)
    return peer
  }

  async #runOne(wish: PodWish, ports: readonly (readonly [Protocol, number])[]): Promise<RunningPod> {
    const { name, namespace = 'default' } = wish
    const host = this.fleet.host(wish.host)
    const address = await until(`pod ${name} runs`, 60_000, async () => {
      const path = 'jsonpath={.status.phase} {.status.podIP}'
      const { stdout } = await this.fleet.kubectl(['get', 'pod', name, '-n', namespace, '-o', path])
      const [phase, podIp] = stdout.split(' ')
      return phase === 'Running' && podIp
    })
    const labels = [`${LABEL.podName}=${name}`, `${LABEL.podNamespace}=${namespace}`]
    const [container] = await this.fleet.docker(labels, host)
    const inspect = ['inspect', '--format', '{{.State.Pid}}', container?.id ?? '']
    const pid = (await host.run('docker', inspect)).stdout.trim()
    const peer = await Peer.startIn(name, `/proc/${pid}/ns/net`)
    this.#peers.push(peer)
    for (const [protocol, port] of ports) await peer.listen(protocol, port)
    return { name, host, address, peer }
  }
}

/** Waits until a question is answered so that `check` likes it; errors are answers, too: `silence`, `ECONNREFUSED`. */
export async function answers(
  description: string,
  ask: () => Promise<string>,
  check: (answer: string) => boolean,
): Promise<string> {
  let last = ''
  return await until(`${description}: ${last}`, SETTLED, async () => {
    last = await ask().catch(error => (error instanceof Error ? error.message : String(error)))
    return check(last) && last
  }).catch(error => {
    throw new Error(`${description}: the last answer was ${last}`, { cause: error })
  })
}
