export {
  AGENT_VERSION,
  currentLoad,
  hostFacts,
  type MachineFacts,
  ownAddress,
  readMachineFacts,
} from './host-facts.ts'
export { trimNativeHeap } from './native-heap.ts'
