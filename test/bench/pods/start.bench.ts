/** Time from the creation of a pod whose image is there until it is Running, beside `docker run` on the same host. */
import path from 'node:path'
import { DATA, Fleet, until } from '../../lab/fleet.ts'
import { inPrivateNetwork } from '../../lab/private-network.ts'
import { percentile, printLine, rounded } from '../figures.ts'

const PODS = 40

async function benchInside(): Promise<void> {
  const cleanups: (() => Promise<void>)[] = []
  const fleet = await Fleet.start({ teardown: work => cleanups.push(work) }, 'starts')
  try {
    await until('pods have an account', 30_000, async () => {
      const { exitCode } = await fleet.kubectl(['get', 'configmap', 'kube-root-ca.crt'], {
        acceptedExitCodes: [0, 1],
      })
      return exitCode === 0
    })
    const { stdout } = await fleet.first.run(
      process.execPath,
      [path.join(import.meta.dirname, 'starter.ts'), `${DATA}/kubeconfig`, String(PODS)],
      { deadline: 300_000 },
    )
    const taken = stdout
      .split('\n')
      .filter(line => line !== '')
      .map(line => JSON.parse(line) as { pod: number; container: number })
    for (const [name, fraction, budget] of [
      ['p50', 0.5, '≤ 1000'],
      ['p95', 0.95, '≤ 2000'],
    ] as const) {
      const [value, peer] = (['pod', 'container'] as const).map(what =>
        percentile(
          taken.map(each => each[what]),
          fraction,
        ),
      ) as [number, number]
      printLine({
        bench: 'pods',
        name: `start of a pod, ${name}`,
        value: rounded(value),
        unit: 'ms',
        peer: { name: 'docker run', value: rounded(peer), ratio: rounded(value / peer) },
        budget,
      })
    }
  } finally {
    for (const cleanup of cleanups.toReversed()) await cleanup()
  }
}

const obstacle = inPrivateNetwork(import.meta.filename)
if (obstacle !== false) throw new Error(obstacle)
await benchInside()
process.exit(0)
