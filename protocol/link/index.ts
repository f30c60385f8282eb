export { closeReason } from './close-reason.ts'
export { LinkConnection, type LinkConnectionOptions, type OwnMessage } from './link-connection.ts'
export { LinkStream } from './link-stream.ts'
export {
  type AgentMessage,
  agentMessage,
  type HostFacts,
  LINK_MESSAGE_LIMIT,
  LINK_VERSION,
  type MessageOfType,
  type NetworkAssignment,
  type NetworkReport,
  type RuntimeReport,
  type ServerMessage,
  STATUS_INTERVAL,
  serverMessage,
} from './messages.ts'
export { isPacked, MessagePacker, unpackMessage } from './packed-message.ts'
