/** The formats of strings that Kubernetes checks (`k8s.io/kube-openapi/pkg/validation/strfmt`); others are comments. */
import { isIP, isIPv4, isIPv6 } from 'node:net'
import { checkDnsLabel, checkDnsSubdomain } from '../names.ts'
import { canonicalTime } from '../schema/index.ts'

type FormatCheck = (text: string) => boolean

const LONGEST_CHECKED = 4096
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/

function expression(pattern: RegExp): FormatCheck {
  return text => text.length <= LONGEST_CHECKED && pattern.test(text)
}

const hostname = expression(
  /^(?=.{1,253}\.?$)[a-zA-Z0-9_]([-a-zA-Z0-9_]{0,61}[a-zA-Z0-9_])?(\.[a-zA-Z0-9_]([-a-zA-Z0-9_]{0,61}[a-zA-Z0-9_])?)*\.?$/,
)
const uuid = (version: string) =>
  expression(new RegExp(`^[0-9a-f]{8}-?[0-9a-f]{4}-?${version}[0-9a-f]{3}-?[0-9a-f]{4}-?[0-9a-f]{12}$`, 'i'))

function isCidr(text: string): boolean {
  const [address = '', length = '', ...rest] = text.split('/')
  if (rest.length > 0 || isIP(address) === 0 || !/^\d{1,3}$/.test(length)) return false
  return Number(length) <= (isIPv4(address) ? 32 : 128)
}

/** The Luhn check digit of a number, and its weighted sum for ISBNs. */
function isCreditCard(text: string): boolean {
  const digits = text.replaceAll(/[ -]/g, '')
  if (!/^\d{12,19}$/.test(digits)) return false
  const sum = [...digits].toReversed().reduce((total, digit, index) => {
    const value = index % 2 === 0 ? Number(digit) : Number(digit) * 2
    return total + (value > 9 ? value - 9 : value)
  }, 0)
  return sum % 10 === 0
}

function isIsbn10(text: string): boolean {
  const digits = text.replaceAll(/[ -]/g, '')
  if (!/^\d{9}[\dX]$/.test(digits)) return false
  const sum = [...digits].reduce(
    (total, digit, index) => total + (10 - index) * (digit === 'X' ? 10 : Number(digit)),
    0,
  )
  return sum % 11 === 0
}

function isIsbn13(text: string): boolean {
  const digits = text.replaceAll(/[ -]/g, '')
  if (!/^\d{13}$/.test(digits)) return false
  return (
    [...digits].reduce((total, digit, index) => total + Number(digit) * (index % 2 === 0 ? 1 : 3), 0) % 10 ===
    0
  )
}

function isUri(text: string): boolean {
  return text.startsWith('/') || (/^[a-z][a-z0-9+.-]*:/i.test(text) && URL.canParse(text))
}

function isDate(text: string): boolean {
  return /^\d{4}-\d{2}-\d{2}$/.test(text) && canonicalTime(`${text}T00:00:00Z`) !== undefined
}

/** Go's durations, and the words that strfmt adds to them. */
const DURATION =
  /^[-+]?(\d+(\.\d*)?\s*(ns|us|µs|μs|ms|s|m|h|d|w|nanos?|micros?|millis?|secs?|seconds?|mins?|minutes?|hrs?|hours?|days?|wks?|weeks?)\s*)+$|^0$/

const FORMATS = new Map<string, FormatCheck>([
  ['bsonobjectid', expression(/^[0-9a-f]{24}$/i)],
  ['byte', text => BASE64.test(text)],
  ['cidr', isCidr],
  ['creditcard', isCreditCard],
  ['date', isDate],
  ['date-time', text => canonicalTime(text) !== undefined],
  ['datetime', text => canonicalTime(text) !== undefined],
  ['duration', expression(DURATION)],
  ['email', expression(/^[^\s@]{1,64}@[^\s@]{1,255}$/)],
  ['hexcolor', expression(/^#?([0-9a-f]{3}|[0-9a-f]{6})$/i)],
  ['hostname', hostname],
  ['ipv4', isIPv4],
  ['ipv6', isIPv6],
  ['isbn', text => isIsbn10(text) || isIsbn13(text)],
  ['isbn10', isIsbn10],
  ['isbn13', isIsbn13],
  ['k8s-long-name', text => checkDnsSubdomain(text) === undefined],
  ['k8s-short-name', text => checkDnsLabel(text) === undefined],
  ['mac', expression(/^([0-9a-f]{2}[:-]){5}([0-9a-f]{2}[:-]?){1,3}$|^([0-9a-f]{4}\.){2}[0-9a-f]{4}$/i)],
  [
    'rgbcolor',
    expression(/^rgb\(\s*(\d{1,2}|1\d\d|2[0-4]\d|25[0-5])\s*(,\s*(\d{1,2}|1\d\d|2[0-4]\d|25[0-5])\s*){2}\)$/),
  ],
  ['ssn', expression(/^\d{3}[- ]?\d{2}[- ]?\d{4}$/)],
  ['uri', isUri],
  ['uuid', uuid('[0-9a-f]')],
  ['uuid3', uuid('3')],
  ['uuid4', uuid('4')],
  ['uuid5', uuid('5')],
])

/** Whether a text has a format; formats that nobody checks are had by every text. */
export function hasFormat(text: string, format: string): boolean {
  return FORMATS.get(format)?.(text) ?? true
}
