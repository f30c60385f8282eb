/** Every pod runs as a service account of its namespace (Kubernetes' ServiceAccount). */
import { isMirror } from '../../../../protocol/kubernetes/index.ts'
import type { Frozen } from '../json.ts'
import { generateName } from '../metadata.ts'
import type { Pod, ServiceAccount } from '../objects.ts'
import { forbidden } from '../status.ts'
import type { AdmissionRequest } from './request.ts'

export const DEFAULT_ACCOUNT = 'default'
/** Where programs look for their account. */
const TOKEN_DIRECTORY = '/var/run/secrets/kubernetes.io/serviceaccount'
/** Seconds; an odd number, by which one sees that nobody has chosen it. */
const TOKEN_LIFETIME = 3_607

/**
 * Gives a new pod its account, and what comes with it.
 *
 * @param makeDefault makes the account that every namespace has: a namespace may be younger than its controller's last look
 * @throws `Forbidden` when there is no such account
 */
export async function joinServiceAccount(
  { cluster, resource, namespace }: AdmissionRequest,
  pod: Pod,
  makeDefault: () => Promise<void>,
): Promise<void> {
  const { spec, metadata } = pod
  // Its host made it from a file, and no account of the cluster has to do with it.
  if (isMirror(pod)) return
  const name = spec.serviceAccountName || spec.serviceAccount || DEFAULT_ACCOUNT
  let stored = cluster.find('serviceaccounts', namespace, name)
  if (stored === undefined && name === DEFAULT_ACCOUNT) {
    await makeDefault()
    stored = cluster.find('serviceaccounts', namespace, name)
  }
  if (stored === undefined) {
    const why = `error looking up service account ${namespace}/${name}: serviceaccount "${name}" not found`
    throw forbidden(resource, metadata.name ?? '', why)
  }
  const account = cluster.read(stored) as Frozen<ServiceAccount>
  spec.serviceAccountName = name
  if (spec.automountServiceAccountToken ?? account.automountServiceAccountToken ?? true) mountToken(pod)
  if ((spec.imagePullSecrets ?? []).length === 0 && (account.imagePullSecrets ?? []).length > 0) {
    spec.imagePullSecrets = (account.imagePullSecrets ?? []).map(secret => ({ ...secret }))
  }
}

/** Gives every container that has nothing there the account's token, the authority of the API and the namespace. */
function mountToken({ spec }: Pod): void {
  const all = [...(spec.initContainers ?? []), ...spec.containers]
  const lacking = all.filter(
    ({ volumeMounts = [] }) => !volumeMounts.some(({ mountPath }) => mountPath === TOKEN_DIRECTORY),
  )
  if (lacking.length === 0) return
  const name = generateName('kube-api-access-')
  for (const container of lacking) {
    container.volumeMounts = [
      ...(container.volumeMounts ?? []),
      { name, readOnly: true, mountPath: TOKEN_DIRECTORY },
    ]
  }
  const sources = [
    { serviceAccountToken: { expirationSeconds: TOKEN_LIFETIME, path: 'token' } },
    { configMap: { name: 'kube-root-ca.crt', items: [{ key: 'ca.crt', path: 'ca.crt' }] } },
    {
      downwardAPI: {
        items: [{ path: 'namespace', fieldRef: { apiVersion: 'v1', fieldPath: 'metadata.namespace' } }],
      },
    },
  ]
  spec.volumes = [...(spec.volumes ?? []), { name, projected: { sources, defaultMode: 0o644 } }]
}
