export {
  busyboxImage,
  ensureImage,
  type ImageStore,
  type LocalImage,
  loadBalancerImage,
  localImage,
  localImages,
  pauseImage,
} from './catalog.ts'
export { imageErrors } from './errors.ts'
