/** What a kubelet is told: its configuration, and by whom it is brought in. Pure. */
import path from 'node:path'
import { METADATA_ADDRESS } from '../../protocol/index.ts'
import { formatKubeconfig } from '../../protocol/kubernetes/index.ts'

/** Where everything of the kubelet is, below a directory of its own. */
export interface KubeletFiles {
  readonly configuration: string
  /** With the host's own key: what the kubelet asks for its first certificate with. */
  readonly bootstrap: string
  /** Written by the kubelet when it has a certificate. */
  readonly kubeconfig: string
  readonly clientAuthority: string
  readonly certificates: string
  readonly root: string
  readonly log: string
  /** Its process id and start. */
  readonly processRecord: string
}

export function kubeletFiles(directory: string): KubeletFiles {
  const file = (name: string) => path.join(directory, name)
  return {
    configuration: file('config.json'),
    bootstrap: file('bootstrap.kubeconfig'),
    kubeconfig: file('kubeconfig'),
    clientAuthority: file('client-ca.crt'),
    certificates: file('pki'),
    root: file('root'),
    log: file('kubelet.log'),
    processRecord: file('process'),
  }
}

export interface KubeletHost {
  readonly nodeName: string
  /** By which other hosts reach this one. */
  readonly address: string
  readonly cgroupDriver: string
  readonly cgroupVersion: string
  /** A directory with files of static pods. */
  readonly staticPods: string
  /** Socket of a container runtime (CRI). */
  readonly runtimeSocket: string
  /** With the host's name servers. */
  readonly resolvConf: string
}

/** Kubernetes' `KubeletConfiguration` (kubelet.config.k8s.io/v1beta1). */
export function kubeletConfiguration(host: KubeletHost, files: KubeletFiles): object {
  return {
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    // The API speaks JSON to kubelets.
    contentType: 'application/json',
    address: host.address,
    containerRuntimeEndpoint: `unix://${host.runtimeSocket}`,
    cgroupDriver: host.cgroupDriver,
    // Newer kubelets refuse to start on hosts with the first version, unless told so.
    ...(host.cgroupVersion === '1' ? { failCgroupV1: false } : {}),
    clusterDNS: [METADATA_ADDRESS],
    clusterDomain: 'cluster.local',
    resolvConf: host.resolvConf,
    staticPodPath: host.staticPods,
    authentication: {
      anonymous: { enabled: false },
      webhook: { enabled: true },
      x509: { clientCAFile: files.clientAuthority },
    },
    authorization: { mode: 'Webhook' },
    rotateCertificates: true,
    serverTLSBootstrap: true,
    tlsMinVersion: 'VersionTLS12',
    failSwapOn: false,
  }
}

export interface ClusterAccess {
  /** `https://server:8443/k8s/clusters/<id>` */
  readonly url: string
  /** PEM of the only authority that is believed. */
  readonly authority: string
  readonly bearerToken: string
}

/** The kubeconfig that the kubelet asks for its first certificate with. */
export function bootstrapKubeconfig(access: ClusterAccess): string {
  return formatKubeconfig({ clusterName: 'drover', ...access })
}

export function kubeletArguments({ nodeName, address }: KubeletHost, files: KubeletFiles): string[] {
  return [
    `--config=${files.configuration}`,
    `--bootstrap-kubeconfig=${files.bootstrap}`,
    `--kubeconfig=${files.kubeconfig}`,
    `--cert-dir=${files.certificates}`,
    `--root-dir=${files.root}`,
    `--hostname-override=${nodeName}`,
    `--node-ip=${address}`,
  ]
}
