export { Conversions, changeable } from './conversions.ts'
