export { clusterMetrics } from './cluster-metrics.ts'
export { type RequestLabels, RequestMetrics } from './request-metrics.ts'
