export {
  type ClusterNames,
  KubernetesNames,
  KubernetesSource,
  type KubernetesSourceOptions,
} from './kubernetes/index.ts'
export { NameDirectory } from './name-directory.ts'
