/** A host with a cluster of its own, as people use it with kubectl. */
import { Fleet, until } from '../../lab/fleet.ts'

/** Milliseconds for what takes a moment. */
export const SOON = 30_000

interface Teardown {
  teardown(work: () => Promise<void>): unknown
}

export class PodCluster {
  readonly fleet: Fleet

  private constructor(fleet: Fleet) {
    this.fleet = fleet
  }

  static async start(test: Teardown, name: string): Promise<PodCluster> {
    const cluster = new PodCluster(await Fleet.start(test, name))
    await until('the account of pods is there', SOON, async () => {
      const { exitCode } = await cluster.kubectl(['get', 'serviceaccount', 'default'])
      return exitCode === 0
    })
    return cluster
  }

  async kubectl(
    args: readonly string[],
    input?: string,
  ): Promise<{ stdout: string; stderr: string; exitCode: number }> {
    return await this.fleet.kubectl(args, {
      acceptedExitCodes: [0, 1],
      deadline: 60_000,
      ...(input === undefined ? {} : { input }),
    })
  }

  async apply(manifest: string): Promise<void> {
    const { stderr, exitCode } = await this.kubectl(['apply', '-f', '-'], manifest)
    if (exitCode !== 0) throw new Error(`kubectl apply: ${stderr}`)
  }

  /** A field of an object, by a JSONPath without braces. */
  async field(object: string, jsonPath: string): Promise<string> {
    return (await this.kubectl(['get', ...object.split(' '), '-o', `jsonpath={${jsonPath}}`])).stdout
  }

  async phase(pod: string): Promise<string> {
    return await this.field(`pod ${pod}`, '.status.phase')
  }

  async isReady(pod: string): Promise<boolean> {
    return (await this.field(`pod ${pod}`, '.status.conditions[?(@.type=="Ready")].status')) === 'True'
  }

  /** How a pod is, and why: `Running True`, or `Failed False Evicted The node was low on …`. */
  async health(pod: string): Promise<string> {
    const ready = '.status.conditions[?(@.type=="Ready")]'
    const parts = [
      '.status.phase',
      `${ready}.status`,
      '.status.reason',
      '.status.message',
      `${ready}.message`,
    ]
    const words = await Promise.all(parts.map(part => this.field(`pod ${pod}`, part)))
    return words.filter(word => word !== '').join(' ')
  }

  async ready(...pods: string[]): Promise<void> {
    for (const pod of pods) await this.until(`${pod} is ready`, pod, () => this.isReady(pod))
  }

  async log(pod: string, container?: string): Promise<string> {
    return (await this.kubectl(['logs', pod, ...(container === undefined ? [] : ['-c', container])])).stdout
  }

  /** Runs a command in a container of a pod by Docker itself. */
  async inside(pod: string, container: string, ...command: string[]): Promise<string> {
    const [found] = await this.fleet.docker([
      `io.kubernetes.pod.name=${pod}`,
      `io.kubernetes.container.name=${container}`,
    ])
    if (found === undefined) throw new Error(`${pod}/${container} does not run`)
    const { stdout } = await this.fleet.first.run('docker', ['exec', found.id, ...command], {
      acceptedExitCodes: [0, 1],
    })
    return stdout
  }

  /** Waits; when it was in vain, says what is known of the pod. */
  async until(what: string, pod: string, check: () => Promise<boolean>): Promise<void> {
    try {
      await until(what, SOON, check)
    } catch (error) {
      const { stdout } = await this.kubectl(['get', 'pod', pod, '-o', 'jsonpath={.status}'])
      throw new Error(`${what}: ${stdout}`, { cause: error })
    }
  }

  async remove(...pods: string[]): Promise<void> {
    await this.kubectl(['delete', 'pod', ...pods, '--ignore-not-found', '--timeout=40s'])
  }
}
