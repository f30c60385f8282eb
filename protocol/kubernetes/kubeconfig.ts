/** The file that tells kubectl where a cluster is and who asks. */
import { stringify } from 'yaml'

export interface KubeconfigContent {
  readonly clusterName: string
  /** The cluster's API: `https://server:8443/k8s/clusters/<id>`. */
  readonly url: string
  /** PEM; absent for a server whose certificate is publicly trusted. */
  readonly authority?: string
  readonly bearerToken: string
}

export function formatKubeconfig({ clusterName, url, authority, bearerToken }: KubeconfigContent): string {
  return stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      {
        name: clusterName,
        cluster: {
          server: url,
          ...(authority === undefined
            ? {}
            : { 'certificate-authority-data': Buffer.from(authority).toString('base64') }),
        },
      },
    ],
    users: [{ name: 'drover', user: { token: bearerToken } }],
    contexts: [{ name: clusterName, context: { cluster: clusterName, user: 'drover' } }],
    'current-context': clusterName,
  })
}
