export { YamlReader } from './yaml-reader.ts'
