import type { ApiContext } from '../context.ts'
import type { ResourceType } from '../resource-type.ts'
import { certificateType } from './certificate.ts'
import { containerType } from './container.ts'
import { apiKeyType } from './credentials.ts'
import { clusterType, hostType, projectType, registrationTokenType } from './infrastructure.ts'
import { networkType } from './network.ts'
import { deploymentUnitType, serviceType } from './service.ts'
import { stackType } from './stack.ts'

/** Every type of the API, by plural. */
export function resourceTypes(context: ApiContext): ReadonlyMap<string, ResourceType> {
  const all = [
    clusterType(context),
    projectType(context),
    hostType(context),
    registrationTokenType(context),
    networkType(context),
    stackType(context),
    serviceType(context),
    deploymentUnitType(),
    containerType(context),
    apiKeyType(context.model),
    certificateType(context),
  ]
  // Each type is sound for its own kind of object; the map forgets which, and looks the kind up again.
  return new Map(all.map(type => [type.plural, type as unknown as ResourceType]))
}
