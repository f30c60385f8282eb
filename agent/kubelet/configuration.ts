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
  /** What plugins answered, where the kubelet itself calls them. */
  readonly cniCache: string
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
    cniCache: file('cni'),
    log: file('kubelet.log'),
    processRecord: file('process'),
  }
}

/** What makes containers for a kubelet. */
export type ContainerRuntime =
  | { readonly kind: 'cri'; readonly socket: string }
  /** Kubelets of before 1.24 speak to Docker themselves, and call the network's plugins for it. */
  | { readonly kind: 'docker'; readonly socket: string; readonly pauseImage: string }

/** The first minor versions of Kubernetes 1 with something else to be told. */
const WITHOUT_DOCKER = 24
const RUNTIME_IN_CONFIGURATION = 27

/** Whether a kubelet of this minor version has Docker in it. */
export function hasDocker(minor: number | undefined): boolean {
  return minor !== undefined && minor < WITHOUT_DOCKER
}

export interface KubeletHost {
  readonly nodeName: string
  /** By which other hosts reach this one. */
  readonly address: string
  readonly cgroupDriver: string
  readonly cgroupVersion: string
  /** A directory with files of static pods. */
  readonly staticPods: string
  /** Where runtimes find the network: its configuration, and its plugins. */
  readonly cniConfigurations: string
  readonly cniPlugins: string
  readonly runtime: ContainerRuntime
  /** With the host's name servers. */
  readonly resolvConf: string
}

/** Kubernetes' `KubeletConfiguration` (kubelet.config.k8s.io/v1beta1). Kubelets pass over what is newer than they are. */
export function kubeletConfiguration(host: KubeletHost, files: KubeletFiles): object {
  return {
    apiVersion: 'kubelet.config.k8s.io/v1beta1',
    kind: 'KubeletConfiguration',
    // The API speaks JSON to kubelets.
    contentType: 'application/json',
    address: host.address,
    ...(host.runtime.kind === 'cri' ? { containerRuntimeEndpoint: `unix://${host.runtime.socket}` } : {}),
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
    // For services, which are the agent's here. They would stay when the kubelet is gone.
    makeIPTablesUtilChains: false,
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

/** What kubelets of this minor version are told of their runtime on the command line. */
function runtimeArguments(host: KubeletHost, files: KubeletFiles, minor: number | undefined): string[] {
  const { runtime, cniConfigurations, cniPlugins } = host
  if (runtime.kind === 'docker') {
    return [
      `--docker-endpoint=unix://${runtime.socket}`,
      '--network-plugin=cni',
      `--cni-conf-dir=${cniConfigurations}`,
      `--cni-bin-dir=${cniPlugins}`,
      `--cni-cache-dir=${files.cniCache}`,
      `--pod-infra-container-image=${runtime.pauseImage}`,
    ]
  }
  if (minor === undefined || minor >= RUNTIME_IN_CONFIGURATION) return []
  return [`--container-runtime-endpoint=unix://${runtime.socket}`]
}

/** @param minor of Kubernetes 1; undefined for one that does not say */
export function kubeletArguments(
  host: KubeletHost,
  files: KubeletFiles,
  minor: number | undefined,
): string[] {
  return [
    `--config=${files.configuration}`,
    `--bootstrap-kubeconfig=${files.bootstrap}`,
    `--kubeconfig=${files.kubeconfig}`,
    `--cert-dir=${files.certificates}`,
    `--root-dir=${files.root}`,
    `--hostname-override=${host.nodeName}`,
    `--node-ip=${host.address}`,
    ...runtimeArguments(host, files, minor),
  ]
}
