export { podContainerName, podManifest, searchDomains } from './pod-manifest.ts'
export { type ClusterAccess, KubernetesPodWriter } from './pod-writer.ts'
