export {
  ensureImage,
  type ImageStore,
  type LocalImage,
  localImage,
  localImages,
  pauseImage,
} from './catalog.ts'
export { imageErrors } from './errors.ts'
