export { MetricsServer, type MetricsServerOptions } from './metrics-server.ts'
export { type Distribution, type Labels, type Metric, MetricsRegistry, type Sample } from './registry.ts'
