/** `drover scale`: how many containers a service has. */
import { sleep } from '../../kit/index.ts'
import type { ApiClient } from '../api-client.ts'
import { cliErrors } from '../errors.ts'
import { print } from '../output.ts'

/** Sets the scale and waits until it is reached. */
export async function scaleService(
  api: ApiClient,
  name: string,
  count: number,
  timeout: number,
): Promise<void> {
  if (!Number.isInteger(count) || count < 0) {
    throw cliErrors.Usage({ object: `scale ${count}`, expected: 'a whole number from 0' })
  }
  const service = await api.findService(name)
  await api.update('services', service.id, { scale: count })
  const deadline = Date.now() + timeout * 1000
  for (;;) {
    const containers = await api.list('containers', { serviceId: service.id })
    const perUnit = 1 + (service.secondaryLaunchConfigs as unknown[]).length
    const broken = containers.find(({ state }) => state === 'error')
    if (broken !== undefined) {
      throw cliErrors.Failed({
        object: `container ${broken.name}`,
        message: broken.transitioningMessage ?? 'cannot be started',
      })
    }
    if (containers.length === count * perUnit && containers.every(({ state }) => state === 'running')) break
    if (Date.now() > deadline) {
      const waiting = containers.find(({ transitioningMessage }) => transitioningMessage !== null)
      throw cliErrors.NotReady({
        object: `service ${name}`,
        ...(waiting?.transitioningMessage
          ? { message: `${waiting.name}: ${waiting.transitioningMessage}` }
          : {}),
      })
    }
    await sleep(200)
  }
  print(`${service.name} has ${count}`)
}
