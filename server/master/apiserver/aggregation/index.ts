export { Aggregator, type AggregatorOptions, type Emptied } from './aggregator.ts'
export {
  API_SERVICES_KIND,
  AUTOMANAGED_LABEL,
  apiServiceName,
  backendOf,
  CUSTOM_PRIORITIES,
} from './api-service.ts'
export { BUILT_IN_PRIORITIES } from './built-in-priorities.ts'
export { IDENTITY_HEADERS } from './identity-headers.ts'
export { secondVersionAddition } from './merge-openapi.ts'
export { aggregatedListWith, groupListWith, groupWith } from './merged-documents.ts'
export { type RemoteApi, RemoteApis } from './remote-apis.ts'
export { isLasting, type RequestedObject, requestedObject } from './requested-object.ts'
