export type { ApiContext, HostAccess, HostAccessIssuer } from './context.ts'
export { DroverApi, sendApiError } from './drover-api.ts'
export { apiErrors } from './errors.ts'
export { RegistrationApi } from './registration.ts'
