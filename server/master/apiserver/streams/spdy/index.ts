/** SPDY 3.1, which Kubernetes' clients still speak: for commands the older ones, for forwarded ports all of them. */
export { SpdySession, SpdyStream } from './session.ts'
