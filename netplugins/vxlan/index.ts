export { VxlanOverlay, type VxlanOverlayOptions } from './vxlan-overlay.ts'
