/** Ingresses, network policies, endpoints. */
import { isIP } from 'node:net'
import type { FormCheck } from '../names.ts'
import type { Endpoints, Ingress, IngressClass, NetworkPolicy } from '../objects.ts'
import {
  endpointsPrinter,
  ingressClassPrinter,
  ingressPrinter,
  networkPolicyPrinter,
} from '../printing/index.ts'
import { type FieldProblem, invalid, notSupported, required } from '../problems.ts'

import { validatePeers } from './policy-peers.ts'
import { validateSelector } from './selectors.ts'
import { defineStrategy } from './strategy.ts'

export const ingressStrategy = defineStrategy<Ingress>({
  printer: ingressPrinter,
  countsGenerations: true,
  prepareCreate(ingress) {
    ingress.status = { loadBalancer: {} }
  },
  validate({ spec }) {
    const problems: FieldProblem[] = []
    if ((spec.rules ?? []).length === 0 && spec.defaultBackend === undefined) {
      problems.push(invalid('spec', '', 'either `defaultBackend` or `rules` must be specified'))
    }
    for (const [index, { host = '', http }] of (spec.rules ?? []).entries()) {
      const field = `spec.rules[${index}]`
      if (isIP(host) !== 0)
        problems.push(invalid(`${field}.host`, host, 'must be a DNS name, not an IP address'))
      for (const [at, { path = '', pathType }] of (http?.paths ?? []).entries()) {
        const place = `${field}.http.paths[${at}]`
        if (pathType === undefined) problems.push(required(`${place}.pathType`, 'pathType must be specified'))
        const free = pathType === 'ImplementationSpecific' && path === ''
        if (!free && !path.startsWith('/')) {
          problems.push(invalid(`${place}.path`, path, 'must be an absolute path'))
        }
      }
    }
    return problems
  },
})

export const ingressClassStrategy = defineStrategy<IngressClass>({
  printer: ingressClassPrinter,
  countsGenerations: true,
})

export const networkPolicyStrategy = defineStrategy<NetworkPolicy>({
  printer: networkPolicyPrinter,
  countsGenerations: true,
  complete({ spec }) {
    if ((spec.policyTypes ?? []).length > 0) return
    spec.policyTypes = (spec.egress ?? []).length > 0 ? ['Ingress', 'Egress'] : ['Ingress']
  },
  validate(policy) {
    const { spec } = policy
    const types = spec.policyTypes ?? []
    return [
      ...validateSelector(spec.podSelector ?? {}, 'spec.podSelector'),
      ...types.flatMap((type, index) =>
        type === 'Ingress' || type === 'Egress'
          ? []
          : [notSupported(`spec.policyTypes[${index}]`, type, ['Egress', 'Ingress'])],
      ),
      ...validatePeers(policy),
    ]
  },
})

export const endpointsStrategy = defineStrategy<Endpoints>({
  printer: endpointsPrinter,
  validate: ({ subsets }) =>
    (subsets ?? []).flatMap(({ addresses, notReadyAddresses }, index) =>
      [addresses, notReadyAddresses].flatMap((list, second) =>
        (list ?? []).flatMap(({ ip }, at) =>
          isIP(ip) !== 0
            ? []
            : [
                invalid(
                  `subsets[${index}].${second === 0 ? 'addresses' : 'notReadyAddresses'}[${at}].ip`,
                  ip,
                  'must be a valid IP address',
                ),
              ],
        ),
      ),
    ),
})

/** The names of IPAddress objects are addresses. */
export const checkAddressName: FormCheck = text =>
  isIP(text) !== 0 ? undefined : 'must be a valid IP address in its canonical form'

export const ipAddressStrategy = defineStrategy({ checkName: checkAddressName })
