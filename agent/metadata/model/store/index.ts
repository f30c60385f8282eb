export { KeyTable } from './key-table.ts'
export { ObjectStore } from './object-store.ts'
