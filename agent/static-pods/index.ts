export { MirrorPods } from './mirror-pods.ts'
export { StaticPods } from './static-pods.ts'
