/** Approves kubelets' requests for certificates, signs what is approved, and forgets old requests. */
import type { ReconcileResult } from '../../../kit/index.ts'
import { readSigningRequest, type SigningOptions, type SigningRequest } from '../../../kit/x509/index.ts'
import {
  CERTIFICATE_REQUESTS,
  type CertificateSigningRequest,
  type Frozen,
  formatTime,
  type Identity,
  type JsonValue,
  NODES,
  type ObjectName,
} from '../apiserver/index.ts'
import { unlessAbsent } from './absence.ts'
import { KUBELET_SERVING, mayServe, nodeNameOf as nodeOf, planRequest } from './certificate-plan.ts'
import type { Controller, ControllerOptions } from './controller.ts'
import { nameOf, ObjectLoop } from './object-loop.ts'

/** Milliseconds after which a request is looked at again whose node has not said yet where it is. */
const ADDRESSES_RETRY = 10_000

type Request = Frozen<CertificateSigningRequest>

export interface CertificateControllerOptions extends ControllerOptions {
  /** Signs a request in PEM with the cluster's authority for clients. */
  readonly sign: (request: string, options: SigningOptions) => Promise<string>
  /** Whether somebody may have such a certificate: for their own node, or for any. */
  readonly mayHave: (identity: Identity, kind: 'nodeclient' | 'selfnodeclient') => Promise<boolean>
}

function pemOf({ spec }: Request): string {
  return Buffer.from(spec.request, 'base64').toString('utf8')
}

export class CertificateController implements Controller {
  readonly #options: CertificateControllerOptions
  readonly #loop: ObjectLoop

  constructor(options: CertificateControllerOptions) {
    this.#options = options
    this.#loop = new ObjectLoop('certificates', options, target => this.#reconcile(target))
  }

  async start(): Promise<void> {
    await this.#loop.observe(CERTIFICATE_REQUESTS, {
      seen: request => this.#loop.kick(nameOf(request)),
      removed: () => undefined,
    })
    this.#loop.start()
  }

  async stop(): Promise<void> {
    await this.#loop.stop()
  }

  async #reconcile(target: ObjectName): Promise<ReconcileResult> {
    const { client, clock, sign } = this.#options
    const request = await client.get(CERTIFICATE_REQUESTS, target)
    if (request === undefined) return undefined
    const pem = pemOf(request)
    const parsed = await readSigningRequest(pem)
    const now = clock.now()
    const plan = planRequest(request, parsed, now)
    switch (plan.type) {
      case 'keep':
        return { requeueAfter: Math.max(1, plan.lookAt - now) }
      case 'remove':
        await unlessAbsent(() => client.delete(CERTIFICATE_REQUESTS, target))
        return undefined
      case 'ask':
        if (parsed !== undefined && (await this.#isAllowed(request, parsed)))
          await this.#condition(request, 'Approved')
        else if (request.spec.signerName === KUBELET_SERVING) return { requeueAfter: ADDRESSES_RETRY }
        return { requeueAfter: Math.max(1, plan.lookAt - now) }
      case 'fail':
        await this.#condition(request, 'Failed', plan.message)
        return undefined
      case 'sign': {
        const { validMilliseconds } = plan
        const usage = request.spec.signerName === KUBELET_SERVING ? 'server' : 'client'
        const certificate = await sign(pem, { usage, from: now, validMilliseconds })
        const body = { status: { certificate: Buffer.from(certificate).toString('base64') } }
        await unlessAbsent(() =>
          client.patch(CERTIFICATE_REQUESTS, target, { type: 'merge', part: 'status', body }),
        )
        return undefined
      }
    }
  }

  /**
   * A node renews its own certificate; others need the right to those of any node. As what others reach may a node prove
   * itself that is nobody else's.
   */
  async #isAllowed({ spec }: Request, parsed: SigningRequest): Promise<boolean> {
    if (spec.signerName === KUBELET_SERVING) {
      return mayServe(parsed, nodeOf(parsed), await this.#options.client.list(NODES))
    }
    const { commonName } = parsed
    const { username: user = '', groups = [], uid } = spec
    const identity: Identity = { user, groups, ...(uid === undefined ? {} : { uid }) }
    const { mayHave } = this.#options
    if (user === commonName && (await mayHave(identity, 'selfnodeclient'))) return true
    return await mayHave(identity, 'nodeclient')
  }

  async #condition(request: Request, type: 'Approved' | 'Failed', why?: string): Promise<void> {
    const { client, clock } = this.#options
    const time = formatTime(clock.now())
    const condition = {
      type,
      status: 'True',
      reason: type === 'Approved' ? 'AutoApproved' : 'SignerValidationFailure',
      message: why ?? 'Auto approving a certificate of a kubelet.',
      lastUpdateTime: time,
      lastTransitionTime: time,
    }
    const conditions = [...(request.status?.conditions ?? []), condition] as unknown as JsonValue
    await unlessAbsent(() =>
      client.patch(CERTIFICATE_REQUESTS, nameOf(request), {
        type: 'merge',
        part: type === 'Approved' ? 'approval' : 'status',
        body: {
          metadata: { resourceVersion: request.metadata.resourceVersion ?? '' },
          status: { conditions },
        },
      }),
    )
  }
}
