export { METRICS_TYPE, MetricsServer, type MetricsServerOptions } from './metrics-server.ts'
export {
  type Distribution,
  type LabelledDistribution,
  type Labels,
  type Metric,
  MetricsRegistry,
  type Sample,
} from './registry.ts'
