export { openApiV2, openApiV2Protobuf, openApiV3, openApiV3Index } from './documents.ts'
