/** Forms of names, labels and annotations (`k8s.io/apimachinery/pkg/util/validation`, RFC 1123, RFC 1035). */

/** What is wrong with a text; undefined when nothing is. */
export type FormCheck = (text: string) => string | undefined

function pattern(expression: RegExp, maximum: number, message: string): FormCheck {
  return text => {
    if (text.length > maximum) return `must be no more than ${maximum} characters`
    return expression.test(text) ? undefined : message
  }
}

export const checkDnsLabel = pattern(
  /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/,
  63,
  "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')",
)

export const checkDnsSubdomain = pattern(
  /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/,
  253,
  "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')",
)

export const checkDns1035Label = pattern(
  /^[a-z]([-a-z0-9]*[a-z0-9])?$/,
  63,
  "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')",
)

const checkQualifiedPart = pattern(
  /^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$/,
  63,
  "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')",
)

/** Keys of labels, annotations, taints, node selectors: `name` or `prefix/name`. */
export const checkQualifiedName: FormCheck = text => {
  const slash = text.indexOf('/')
  if (slash < 0) return text === '' ? 'name part must be non-empty' : checkQualifiedPart(text)
  const prefix = text.slice(0, slash)
  if (prefix === '') return 'prefix part must be non-empty'
  const problem = checkDnsSubdomain(prefix)
  if (problem !== undefined) return `prefix part ${problem}`
  const name = text.slice(slash + 1)
  return name === '' ? 'name part must be non-empty' : checkQualifiedPart(name)
}

export const checkLabelValue = pattern(
  /^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$/,
  63,
  "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')",
)

/** Keys of the data of ConfigMaps and Secrets. */
export const checkDataKey: FormCheck = text => {
  if (text.length > 253) return 'must be no more than 253 characters'
  if (text === '.' || text === '..') return `must not be '${text}'`
  if (text.startsWith('..')) return "must not start with '..'"
  return /^[-._a-zA-Z0-9]+$/.test(text)
    ? undefined
    : "a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"
}

/** Names of environment variables: printable ASCII without `=`. */
export const checkEnvironmentName: FormCheck = text =>
  /^[ -<>-~]+$/.test(text)
    ? undefined
    : "a valid environment variable name must consist only of printable ASCII characters other than '='"

/** Names of ports (RFC 6335 §5.1). */
export const checkPortName: FormCheck = text => {
  if (text.length > 15) return 'must be no more than 15 characters'
  if (!/^[-a-z0-9]+$/.test(text))
    return 'must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)'
  if (!/[a-z]/.test(text)) return 'must contain at least one letter (a-z)'
  if (text.includes('--')) return 'must not contain consecutive hyphens'
  return text.startsWith('-') || text.endsWith('-') ? 'must not begin or end with a hyphen' : undefined
}
