/** Requests for certificates: who asks is written down by the server, who approves by subresources. */

import { cloneJson, type JsonValue } from '../json.ts'
import type { CertificateSigningRequest } from '../objects.ts'
import { certificateRequestPrinter } from '../printing/index.ts'
import { invalid, required } from '../problems.ts'
import { defineStrategy, selectableFields } from './strategy.ts'

/** Seconds. */
const SHORTEST_VALIDITY = 600

export const certificateRequestStrategy = defineStrategy<CertificateSigningRequest>({
  printer: certificateRequestPrinter,
  selectable: selectableFields<CertificateSigningRequest>({
    'spec.signerName': ({ spec }) => spec.signerName,
  }),
  prepareCreate(request, { user, uid, groups }) {
    const { spec } = request
    spec.username = user
    spec.groups = [...groups]
    delete spec.extra
    if (uid === undefined) delete spec.uid
    else spec.uid = uid
    request.status = {}
  },
  prepareUpdate(request, old) {
    request.spec = cloneJson(old.spec as unknown as JsonValue) as unknown as CertificateSigningRequest['spec']
  },
  validate({ spec }) {
    const problems = spec.signerName.includes('/')
      ? []
      : [
          invalid(
            'spec.signerName',
            spec.signerName,
            'must be a fully qualified domain and path of the form "example.com/signer-name"',
          ),
        ]
    if ((spec.usages ?? []).length === 0) problems.push(required('spec.usages'))
    const text = Buffer.from(spec.request, 'base64').toString('latin1')
    if (!text.includes('BEGIN CERTIFICATE REQUEST')) {
      problems.push(invalid('spec.request', '', 'PEM block type must be CERTIFICATE REQUEST'))
    }
    if (spec.expirationSeconds !== undefined && spec.expirationSeconds < SHORTEST_VALIDITY) {
      problems.push(
        invalid(
          'spec.expirationSeconds',
          spec.expirationSeconds,
          'may not specify a duration less than 600 seconds (10 minutes)',
        ),
      )
    }
    return problems
  },
})
