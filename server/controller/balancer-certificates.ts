/** Hands certificates with their keys to the hosts on which balancers need them, and to nobody else. */
import { certificateNames, LABEL } from '../../protocol/index.ts'
import type { Certificate, Model } from '../model/index.ts'
import { controllerErrors } from './errors.ts'

/** A certificate as a balancer needs it. */
export interface DeliveredCertificate {
  readonly name: string
  readonly fingerprint: string
  /** Certificate, chain and private key. */
  readonly pem: string
}

export class BalancerCertificates {
  readonly #model: Model
  readonly #unseal: (certificate: Certificate) => string

  /** @param unseal the private key of a certificate */
  constructor(model: Model, unseal: (certificate: Certificate) => string) {
    this.#model = model
    this.#unseal = unseal
  }

  /**
   * The certificates of a balancer.
   *
   * @throws `NotOnHost` when none of its containers is on the host
   */
  forHost(hostId: string, serviceUuid: string): readonly DeliveredCertificate[] {
    const service = this.#model.services.find('uuid', serviceUuid)
    const onHost = this.#model.containers
      .where('service', service?.id ?? '')
      .some(container => container.hostId === hostId && container.labels[LABEL.balancer] === 'true')
    if (service?.lbConfig === undefined || !onHost) {
      throw controllerErrors.NotOnHost({ object: `balancer ${serviceUuid.slice(0, 64)}` })
    }
    return certificateNames(service.lbConfig).flatMap(name => {
      const certificate = this.#model.certificates.find('name', `${service.accountId}/${name}`)
      if (certificate === undefined) return []
      const { cert, certChain, fingerprint } = certificate
      const parts = [cert, certChain, this.#unseal(certificate)].map(part => part.trim())
      return [{ name, fingerprint, pem: parts.filter(part => part !== '').join('\n') }]
    })
  }
}
