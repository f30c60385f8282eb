export { openApiV2, openApiV3, openApiV3Index } from './documents.ts'
