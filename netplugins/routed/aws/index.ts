export { AwsRouteTables, type AwsRouteTablesOptions } from './aws-route-tables.ts'
export { InstanceMetadata } from './instance-metadata.ts'
