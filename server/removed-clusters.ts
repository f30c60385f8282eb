/** What the parts of a server keep for a cluster besides the model and the cluster's own space. */
import type { Logger } from '../kit/index.ts'
import type { Cluster, Model } from './model/index.ts'

/** Has every part forget a cluster that is gone. */
export function forgetWithCluster(
  model: Pick<Model, 'clusters'>,
  parts: readonly ((cluster: Cluster) => Promise<void>)[],
  log: Logger,
): void {
  model.clusters.onChange((cluster, previous) => {
    if (cluster !== undefined || previous === undefined) return
    for (const forget of parts) {
      forget(previous).catch(error =>
        log.error({ err: error, cluster: previous.id }, 'something of a removed cluster stays'),
      )
    }
  })
}
