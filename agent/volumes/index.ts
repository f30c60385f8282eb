export { type ContentFile, hasContent, type Ownership, writeContent } from './content-directory.ts'
export { volumeErrors } from './errors.ts'
export { ensureMemory, releaseMemory, unmountBelow } from './memory.ts'
export { requireType, resolveSubPath } from './places.ts'
