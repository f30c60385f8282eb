export type { Overlay, OverlayState, Peer, PeerState } from './overlay.ts'
