export {
  busyboxImage,
  ensureImage,
  type ImageStore,
  type LocalImage,
  localImages,
  pauseImage,
} from './catalog.ts'
export { imageErrors } from './errors.ts'
