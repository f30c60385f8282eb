/** An overlay in a process of its own, inside of its host's namespace: an agent's part that obeys a test. */
import { mkdir } from 'node:fs/promises'
import type { Attachment } from '../../../../agent/network/attachment.ts'
import { FlowOffloadKeeper } from '../../../../agent/network/flow-offload-keeper.ts'
import { createLogger, explainError, sleep } from '../../../../kit/index.ts'
import { type KernelEvent, RouteSocket, watchKernel } from '../../../../netplugins/netlink/index.ts'
import type { Overlay, OverlayState } from '../../../../netplugins/overlay/index.ts'
import { createRoutedOverlay } from '../../../../netplugins/routed/index.ts'
import { VxlanOverlay } from '../../../../netplugins/vxlan/index.ts'

export type OverlayOrder =
  | { readonly kind: 'apply' | 'verify' | 'rules'; readonly state: OverlayState }
  | { readonly kind: 'remove' | 'states' | 'forgetEvents' | 'concerned' }
  | { readonly kind: 'offload'; readonly attachments: readonly Attachment[] }
  | { readonly kind: 'forgetFlows' | 'rulesChanged' | 'endOffload' }

export interface OverlayAnswer {
  readonly id: number
  readonly value?: unknown
  readonly error?: string
}

const log = createLogger('overlay', 'error')
const socket = RouteSocket.open()
const provider = process.env.PROVIDER === 'none' ? 'none' : 'hostgw'
const overlay: Overlay =
  process.env.OVERLAY === 'routed'
    ? createRoutedOverlay({ routed: { provider }, directory: process.env.DIRECTORY ?? '', socket, log })
    : new VxlanOverlay({ socket, log })

let offload: Promise<FlowOffloadKeeper> | undefined

async function openOffload(): Promise<FlowOffloadKeeper> {
  const directory = process.env.DIRECTORY ?? ''
  await mkdir(directory, { recursive: true })
  return await FlowOffloadKeeper.open({ directory, bridgeName: 'drover0', socket, log })
}

function offloadKeeper(): Promise<FlowOffloadKeeper> {
  offload ??= openOffload()
  return offload
}

/** Until there is nothing to wait for. */
async function bringOffload(attachments: readonly Attachment[]): Promise<void> {
  const keeper = await offloadKeeper()
  for (;;) {
    const wait = await keeper.reconcile({ kind: 'vxlan', options: {}, hostPorts: true }, attachments)
    if (wait === undefined) return
    await sleep(wait)
  }
}

let events: KernelEvent[] = []
let wake = () => {}
const stop = watchKernel(event => {
  events.push(event)
  wake()
})

async function obey(order: OverlayOrder): Promise<unknown> {
  switch (order.kind) {
    case 'apply':
      return await overlay.apply(order.state)
    case 'verify':
      return await overlay.verify(order.state)
    case 'rules':
      return overlay.rules(order.state)
    case 'remove':
      return await overlay.remove()
    case 'states':
      return overlay.peerStates()
    case 'offload':
      return await bringOffload(order.attachments)
    case 'forgetFlows':
      return (await offloadKeeper()).forgetFlows()
    case 'rulesChanged':
      return (await offloadKeeper()).forgetRules()
    case 'endOffload':
      return await (await offloadKeeper()).end()
    case 'forgetEvents':
      events = []
      return undefined
    case 'concerned':
      while (!events.some(event => overlay.concerns(event))) {
        await new Promise<void>(resolve => {
          wake = resolve
        })
      }
      return undefined
  }
}

process.on('message', ({ id, order }: { id: number; order: OverlayOrder }) => {
  obey(order).then(
    value => process.send?.({ id, value }),
    (error: unknown) => process.send?.({ id, error: explainError(error) }),
  )
})
process.on('disconnect', () => {
  stop()
  void overlay.close().then(() => process.exit(0))
})
process.send?.({ id: 0 })
