/** The model that the benches of the metadata service ask for. */
import type { MetadataObject } from '../../../protocol/index.ts'
import { container, environment, host, service, stack } from '../../unit/agent/metadata/objects.ts'

/** An environment with services of 30 containers each, on hosts with 30 containers each. */
export function cluster(containers: number, address: (index: number) => string): MetadataObject[] {
  const production = environment('production')
  const shop = stack('shop', production)
  const objects: MetadataObject[] = [environment('system', { system: true }), production, shop]
  for (let index = 0; index < containers; index += 1) {
    const group = Math.floor(index / 30)
    if (index % 30 === 0) objects.push(host(`node-${group}`), service(`service-${group}`, shop))
    const owner = service(`service-${group}`, shop)
    const name = `shop-service-${group}-${index % 30}`
    objects.push(
      container(name, owner, {
        hostUuid: `host-node-${group}`,
        primaryIp: address(index),
        externalId: index.toString(16).padStart(64, '0'),
        labels: {
          'io.rancher.container.name': name,
          'io.rancher.container.uuid': `container-${name}`,
          'io.rancher.stack.name': 'shop',
          'io.rancher.stack_service.name': `shop/service-${group}`,
          'io.rancher.project.name': 'production',
        },
      }),
    )
  }
  return objects
}
