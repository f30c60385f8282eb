/** What network policies cost a host of a large cluster: all of them from nothing, and one pod that changes. */
import { createLogger } from '../../../kit/index.ts'
import {
  compilePolicy,
  KernelSets,
  type KubernetesNetworkPolicy,
  PodIndex,
  type PolicyPod,
} from '../../../netplugins/policy/index.ts'
import { inPrivateNetwork } from '../../lab/private-network.ts'
import { median, type PrintFigure, printLine, rounded } from '../figures.ts'
import { passOn } from './pass-on.ts'

const PODS = 30_000
const NAMESPACES = 100
const POLICIES = 200
/** Of one host. */
const LOCAL = 100
const CHANGES = 50

const log = createLogger('bench', 'error')

function podOf(number: number, app = Math.floor(number / NAMESPACES) % 10): PolicyPod {
  const address = 10 * 2 ** 24 + 42 * 2 ** 16 + number
  return {
    namespace: `n${number % NAMESPACES}`,
    name: `p${number}`,
    address: [24, 16, 8, 0].map(shift => (address >>> shift) & 255).join('.'),
    labels: { app: `a${app}` },
  }
}

/** Half of them let in some pods of their namespace, half of them those of many namespaces. */
function policyOf(number: number): KubernetesNetworkPolicy {
  const near = { podSelector: { matchLabels: { app: `a${number % 10}` } } }
  const far = { namespaceSelector: { matchLabels: { tier: `t${number % 4}` } } }
  return {
    metadata: { namespace: `n${number % NAMESPACES}`, name: `policy${number}` },
    spec: {
      podSelector: { matchLabels: { app: `a${(number + 1) % 10}` } },
      ingress: [{ from: [number % 2 === 0 ? near : far], ports: [{ port: 8080 }] }],
    },
  }
}

async function benchInside(print: PrintFigure): Promise<void> {
  const pods = new PodIndex()
  for (let number = 0; number < NAMESPACES; number += 1) {
    pods.setNamespace(`n${number}`, { tier: `t${number % 4}` })
  }
  for (let number = 0; number < PODS; number += 1) pods.putPod(podOf(number))
  const policies = Array.from({ length: POLICIES }, (_, number) => policyOf(number))
  const local = new Set(Array.from({ length: LOCAL }, (_, number) => podOf(number * 7).address ?? ''))
  const sets = new KernelSets(log)
  const apply = async () => {
    const compiled = compilePolicy({ kubernetes: { policies, pods } }, local)
    await sets.apply(compiled.sets)
    return compiled
  }
  const begin = performance.now()
  const { sets: made } = await apply()
  print({
    bench: 'network',
    name: `policies: ${POLICIES} about ${PODS} pods from nothing (${made.length} sets)`,
    value: rounded(performance.now() - begin),
    unit: 'ms',
  })
  const wall: number[] = []
  const own: number[] = []
  for (let change = 0; change < CHANGES; change += 1) {
    const number = change * 11
    const start = performance.now()
    const usage = process.cpuUsage()
    pods.putPod(podOf(number, change % 10))
    await apply()
    const { user, system } = process.cpuUsage(usage)
    own.push((user + system) / 1000)
    wall.push(performance.now() - start)
  }
  print({ bench: 'network', name: 'policies: one pod changes', value: rounded(median(wall)), unit: 'ms' })
  print({
    bench: 'network',
    name: "policies: one pod changes, the agent's processor",
    value: rounded(median(own)),
    unit: 'ms',
  })
}

/** Runs in a private network of its own, as root. */
export async function bench(print: PrintFigure): Promise<void> {
  await passOn(import.meta.filename, print)
}

if (process.argv[1] === import.meta.filename) {
  const obstacle = inPrivateNetwork(import.meta.filename)
  if (obstacle !== false) throw new Error(obstacle)
  await benchInside(printLine)
}
