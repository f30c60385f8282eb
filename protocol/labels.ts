/** Names that are protocol: labels on containers and pods, and the addresses that containers ask. */

/** Where containers find metadata (port 80) and DNS (port 53). */
export const METADATA_ADDRESS = '169.254.169.250'

/** The addresses of Kubernetes services: a block beside the one of the pods. */
export const SERVICE_BLOCK = '10.43.0.0/16'

export const LABEL = {
  containerUuid: 'io.rancher.container.uuid',
  containerName: 'io.rancher.container.name',
  containerIp: 'io.rancher.container.ip',
  containerMacAddress: 'io.rancher.container.mac_address',
  containerSystem: 'io.rancher.container.system',
  containerDns: 'io.rancher.container.dns',
  containerDnsSearch: 'io.rancher.container.dnssearch',
  containerDnsPriority: 'io.rancher.container.dns.priority',
  containerNetwork: 'io.rancher.container.network',
  containerPullImage: 'io.rancher.container.pull_image',
  containerStartOnce: 'io.rancher.container.start_once',
  requestedIp: 'io.rancher.container.requested_ip',
  cniNetwork: 'io.rancher.cni.network',
  projectName: 'io.rancher.project.name',
  stackName: 'io.rancher.stack.name',
  stackServiceName: 'io.rancher.stack_service.name',
  deploymentUnit: 'io.rancher.service.deployment.unit',
  launchConfig: 'io.rancher.service.launch.config',
  sidekicks: 'io.rancher.sidekicks',
  /** `any`, `only-local` or `prefer-local`: which containers a balancer sends requests to. */
  balancerTarget: 'io.rancher.lb_service.target',
  /** `true`: a balancer does not ask the services that it chooses what they want. */
  balancerSkipTargetRules: 'io.rancher.lb_service.skip_target_lb_rules',
  /** Directory in a balancer's container with a sub-directory for each certificate: fullchain.pem and privkey.pem. */
  balancerCertificates: 'io.rancher.lb_service.cert_dir',
  /** Directory of the certificate for clients that name none. */
  balancerDefaultCertificate: 'io.rancher.lb_service.default_cert_dir',
  /** On containers in which a balancer's HAProxy runs. */
  balancer: 'io.drover.balancer',
  schedulerGlobal: 'io.rancher.scheduler.global',
  podUid: 'io.kubernetes.pod.uid',
  podName: 'io.kubernetes.pod.name',
  podNamespace: 'io.kubernetes.pod.namespace',
  podContainer: 'io.kubernetes.container.name',
} as const

/** Labels and annotations that Drover puts on the pods it makes. */
export const POD_LABEL = {
  deploymentUnit: 'io.rancher.deployment.uuid',
  /** Hash of what the pod was made from; another value means another pod. */
  revision: 'io.rancher.revision',
  /** Pods with the same value are spread over the hosts. */
  spreadGroup: 'drover.io/spread-group',
} as const

/** Annotation with the Docker labels of each container: JSON, container name → labels. */
export const CONTAINER_LABELS_ANNOTATION = 'drover.io/container-labels'

/** Persistent volumes that are directories of a host: made for claims by the server, kept by the host's agent. */
export const HOST_VOLUME = {
  /** In storage classes, and in the annotation that says who made a volume. */
  provisioner: 'drover.io/local',
  provisionedBy: 'pv.kubernetes.io/provisioned-by',
  /** Label: name of the node whose host has the directory. */
  host: 'drover.io/host',
  /** Where the directories are, each with the name of its volume, unless the storage class says otherwise. */
  root: '/var/lib/drover/volumes',
} as const

/** ConfigMap with the authority of a cluster's clients, as Kubernetes publishes it: certificates in PEM under `key`. */
export const CLIENT_AUTHORITY = {
  namespace: 'kube-system',
  name: 'extension-apiserver-authentication',
  key: 'client-ca-file',
} as const

/** Where kubelets answer what is asked of their nodes, by HTTPS. */
export const KUBELET_PORT = 10_250
