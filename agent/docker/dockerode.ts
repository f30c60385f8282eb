/** What the agent has of dockerode: `#dockerode` names the file that `kit/bundle-packages.mjs` makes of it. */
import Docker from 'dockerode'

export type { ContainerCreateOptions, ContainerInspectInfo, ContainerStats, HostConfig } from 'dockerode'
export { Docker }
