export { applyJsonPatch } from './json-patch.ts'
export { DEPTH_LIMIT } from './limits.ts'
export { applyMergePatch } from './merge-patch.ts'
export { applyStrategicMergePatch } from './strategic-merge.ts'
