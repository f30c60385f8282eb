/** Where a webhook is, and which reviews it understands: the same for admission and conversion. */
import { type FieldProblem, invalid, required } from '../problems.ts'

/** Where a webhook is: exactly one of `url` and `service`. */
export interface WebhookClientConfig {
  url?: string
  service?: { namespace: string; name: string; path?: string; port?: number }
  /** PEM, in base64. */
  caBundle?: string
}

const ONE = 'exactly one of url or service is required'

/** What is wrong with where a webhook is. */
export function clientConfigProblems(
  { url, service, caBundle }: WebhookClientConfig,
  path: string,
): FieldProblem[] {
  const problems: FieldProblem[] = []
  if ((url === undefined) === (service === undefined)) problems.push(required(path, ONE))
  if (url !== undefined) problems.push(...urlProblems(url, `${path}.url`))
  if (service !== undefined) {
    const { namespace, name, port = 443, path: servicePath = '' } = service
    if (name === '') problems.push(required(`${path}.service.name`, 'service name is required'))
    if (namespace === '')
      problems.push(required(`${path}.service.namespace`, 'service namespace is required'))
    if (!Number.isInteger(port) || port < 1 || port > 65_535)
      problems.push(
        invalid(`${path}.service.port`, port, 'port is not valid: must be between 1 and 65535, inclusive'),
      )
    if (servicePath !== '' && !/^\/[^?#\s]*$/.test(servicePath))
      problems.push(invalid(`${path}.service.path`, servicePath, "must start with a '/'"))
  }
  if (
    caBundle !== undefined &&
    caBundle !== '' &&
    !Buffer.from(caBundle, 'base64').includes('-----BEGIN CERTIFICATE-----')
  )
    problems.push(
      invalid(
        `${path}.caBundle`,
        '<redacted>',
        'unable to load root certificates: unable to parse bytes as PEM block',
      ),
    )
  return problems
}

function urlProblems(url: string, field: string): FieldProblem[] {
  const form = 'desired format: https://host[/path]'
  if (!URL.canParse(url)) return [required(field, `url must be a valid URL; ${form}`)]
  const { protocol, hostname, username, password, hash, search } = new URL(url)
  const problems: FieldProblem[] = []
  if (protocol !== 'https:')
    problems.push(invalid(field, protocol, `'https' is the only allowed URL scheme; ${form}`))
  if (hostname === '') problems.push(invalid(field, '', `host must be specified; ${form}`))
  if (username !== '' || password !== '')
    problems.push(invalid(field, '<redacted>', 'user information is not permitted in the URL'))
  if (hash !== '') problems.push(invalid(field, hash, 'fragments are not permitted in the URL'))
  if (search !== '') problems.push(invalid(field, search, 'query parameters are not permitted in the URL'))
  return problems
}

/** What is wrong with the versions of reviews that a webhook understands. */
export function reviewVersionProblems(
  versions: readonly string[] | undefined,
  field: string,
): FieldProblem[] {
  if (versions === undefined || versions.length === 0) return [required(field, 'must specify one of v1')]
  const problems = versions.flatMap((version, index) =>
    versions.indexOf(version) < index ? [invalid(`${field}[${index}]`, version, 'duplicate version')] : [],
  )
  if (!versions.includes('v1')) problems.push(invalid(field, versions, 'must include at least one of v1'))
  return problems
}
