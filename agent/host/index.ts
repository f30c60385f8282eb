export {
  currentLoad,
  hostFacts,
  type MachineFacts,
  ownAddress,
  readMachineFacts,
} from './host-facts.ts'
