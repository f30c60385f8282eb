export {
  type FlowLink,
  FlowOffload,
  type FlowOffloadState,
  type FlowSender,
} from './flow-offload.ts'
