export { hostAddressOf } from './host-address.ts'
export type { Overlay, OverlayRules, OverlayState, Peer, PeerState } from './overlay.ts'
export { type PeerSelection, selectPeers, statesOfPeers } from './usable-peers.ts'
