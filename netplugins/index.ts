export { networkErrors } from './errors.ts'
