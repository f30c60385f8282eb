/** What links lead to. */
import { dnsLabel } from '../../../dns/index.ts'
import type { ServiceInfo } from '../../../protocol/index.ts'
import { nameKey } from './indexes.ts'
import type { ModelReader } from './metadata-model.ts'

/**
 * The service that a link of `service` names: `service` of the same stack, `stack/service` of the same environment, or
 * `environment/stack/service`.
 */
export function linkedService(
  reader: ModelReader,
  service: Pick<ServiceInfo, 'environmentUuid' | 'stackUuid'>,
  name: string,
): ServiceInfo | undefined {
  const parts = name.split('/')
  const serviceName = parts.at(-1) ?? ''
  if (parts.length === 1)
    return reader.list('service', 'nameInStack', nameKey(service.stackUuid, serviceName))[0]
  const environmentUuid =
    parts.length === 2
      ? service.environmentUuid
      : reader.list('environment', 'label', dnsLabel(parts.at(-3) ?? ''))[0]?.uuid
  if (environmentUuid === undefined) return undefined
  const stack = reader.list('stack', 'name', nameKey(environmentUuid, parts.at(-2) ?? ''))[0]
  return stack && reader.list('service', 'nameInStack', nameKey(stack.uuid, serviceName))[0]
}
