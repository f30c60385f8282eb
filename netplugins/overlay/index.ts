export type { Overlay, OverlayRules, OverlayState, Peer, PeerState } from './overlay.ts'
