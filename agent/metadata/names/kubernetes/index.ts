export { type ClusterNames, KubernetesNames } from './kubernetes-names.ts'
export { KubernetesSource, type KubernetesSourceOptions } from './kubernetes-source.ts'
