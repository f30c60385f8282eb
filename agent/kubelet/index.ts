export { KubeletRuntime, type KubeletRuntimeOptions, removeKubelet } from './kubelet-runtime.ts'
