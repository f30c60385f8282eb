export { MetadataPublisher, type MetadataPublisherOptions } from './metadata-publisher.ts'
