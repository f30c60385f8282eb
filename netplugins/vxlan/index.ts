export { VTEP_NAME } from './vtep.ts'
export { VxlanOverlay, type VxlanOverlayOptions } from './vxlan-overlay.ts'
