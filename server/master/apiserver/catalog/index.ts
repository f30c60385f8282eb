export { Catalog, type GroupVersion, loadCatalog } from './catalog.ts'
export type { Face } from './enabled.ts'
export {
  apiVersionOf,
  type GroupVersionKind,
  type KeptForm,
  type Resource,
  type Subresource,
} from './resource.ts'
