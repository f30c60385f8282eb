export { AgentLink, type AgentLinkHandlers, type AgentLinkOptions } from './agent-link.ts'
export { ContainerReporter, type ContainerReporterOptions } from './container-reporter.ts'
export { loadMembership, type Membership, register } from './membership.ts'
