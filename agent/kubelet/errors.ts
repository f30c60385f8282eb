import { defineErrors } from '../../kit/index.ts'

export const kubeletErrors = defineErrors({
  KubeletMissing: {
    status: 503,
    message: 'is not on this host',
    mend: "install Kubernetes' package kubelet, or start the agent with --runtime builtin",
  },
  NoContainerRuntime: {
    status: 503,
    message: 'no container runtime answers on this host',
    mend: 'install and start cri-dockerd (or containerd, CRI-O: then Drover sees no containers of pods)',
  },
  NoClientAuthority: {
    status: 503,
    message: "the authority of the cluster's clients is not known yet",
    mend: 'it is asked for again by itself while the server can be reached',
  },
  KubeletEnded: { status: 500, message: 'ended', mend: 'it is started again by itself; see its log' },
})
