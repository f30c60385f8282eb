export { type ClusterNames, KubernetesNames } from './kubernetes/index.ts'
export { NameDirectory } from './name-directory.ts'
