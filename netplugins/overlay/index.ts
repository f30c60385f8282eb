export { hostAddressOf } from './host-address.ts'
export {
  NO_OVERLAY_RULES,
  type Overlay,
  type OverlayRules,
  type OverlayState,
  type Peer,
  type PeerState,
} from './overlay.ts'
export { type PeerSelection, selectPeers, statesOfPeers } from './usable-peers.ts'
