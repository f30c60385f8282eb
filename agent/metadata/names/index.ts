export { NameDirectory } from './name-directory.ts'
