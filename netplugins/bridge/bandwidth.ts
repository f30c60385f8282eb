/** How fast a container may send and receive: a token bucket at each end of its link (tc-tbf(8)). */
import { runCommand } from '../../kit/index.ts'
import { networkErrors } from '../errors.ts'

/** Bits per second, and bits that may pass at once; absent or 0 is no limit. */
export interface Bandwidth {
  readonly ingressRate?: number | undefined
  readonly ingressBurst?: number | undefined
  readonly egressRate?: number | undefined
  readonly egressBurst?: number | undefined
}

export interface LimitedLink {
  readonly namespace: string
  readonly interfaceName: string
  readonly hostInterface: string
}

/** How long a packet may wait for its turn; what would wait longer is dropped. */
const LATENCY = '25ms'

/** Bytes: a bucket must hold at least some packets of the largest size, or nothing passes. */
const SMALLEST_BURST = 32 * 1024

/** Bytes: tc counts in 32 bits. */
const LARGEST_BURST = 2 ** 31 - 1

function bucket(rate: number, burst = 0): string[] {
  const bytes = Math.min(Math.max(Math.ceil(burst / 8), SMALLEST_BURST), LARGEST_BURST)
  return ['root', 'tbf', 'rate', `${Math.ceil(rate)}bit`, 'burst', String(bytes), 'latency', LATENCY]
}

/**
 * Limits a container's link. The end inside the container limits what it sends: a container with NET_ADMIN can undo that.
 *
 * @throws `KernelRefused`, `CommandMissing`, `DeadlineExceeded`
 */
export async function limitBandwidth(link: LimitedLink, bandwidth: Bandwidth): Promise<void> {
  const { ingressRate = 0, ingressBurst, egressRate = 0, egressBurst } = bandwidth
  if (ingressRate > 0) {
    await tc(
      'tc',
      ['qdisc', 'replace', 'dev', link.hostInterface, ...bucket(ingressRate, ingressBurst)],
      link,
    )
  }
  if (egressRate > 0) {
    const command = ['tc', 'qdisc', 'replace', 'dev', link.interfaceName, ...bucket(egressRate, egressBurst)]
    await tc('nsenter', [`--net=${link.namespace}`, '--', ...command], link)
  }
}

async function tc(program: string, args: readonly string[], link: LimitedLink): Promise<void> {
  const { exitCode, stderr } = await runCommand(program, args, { acceptedExitCodes: [0, 1, 2] })
  if (exitCode === 0) return
  throw networkErrors.KernelRefused({
    object: `bandwidth of interface ${link.interfaceName} of ${link.namespace}`,
    message: `cannot be limited: ${stderr.trim().slice(0, 300)}`,
  })
}
