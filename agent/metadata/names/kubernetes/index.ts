export { type ClusterNames, KubernetesNames } from './kubernetes-names.ts'
