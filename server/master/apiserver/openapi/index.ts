export { openApiV2, openApiV3 } from './documents.ts'
