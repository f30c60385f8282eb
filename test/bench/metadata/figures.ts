/** What the benches of the metadata service share: how figures are given, and a model of the size that they ask for. */
import type { MetadataObject } from '../../../protocol/index.ts'
import { container, environment, host, service, stack } from '../../unit/agent/metadata/objects.ts'

/** One measured figure, printed as one line of JSON. */
export interface Figure {
  readonly bench: 'metadata'
  readonly name: string
  readonly value: number
  readonly unit: string
  /** The same work done by someone else in the same run. */
  readonly peer?: { readonly name: string; readonly value: number; readonly ratio: number }
  /** What must hold; absent when the figure is for information. */
  readonly budget?: string
}

export type PrintFigure = (figure: Figure) => void

export const printLine: PrintFigure = figure => {
  process.stdout.write(`${JSON.stringify(figure)}\n`)
}

export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
}

export const rounded = (value: number) => Number(value.toPrecision(3))

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
