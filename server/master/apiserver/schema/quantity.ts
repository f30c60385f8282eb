/**
 * Resource quantities: `500m`, `1Gi`, `1e3` (Kubernetes API, `resource.Quantity`).
 *
 * The smallest unit is 10⁻⁹; smaller parts are rounded up, as the original does.
 */

const PATTERN = /^([+-]?)(\d*)(?:\.(\d*))?(Ki|Mi|Gi|Ti|Pi|Ei|n|u|m|k|M|G|T|P|E|[eE][+-]?\d{1,2}|)$/
const MAXIMUM_LENGTH = 64
const NANO_DIGITS = 9

const DECIMAL_SUFFIXES = new Map([
  ['n', -9],
  ['u', -6],
  ['m', -3],
  ['', 0],
  ['k', 3],
  ['M', 6],
  ['G', 9],
  ['T', 12],
  ['P', 15],
  ['E', 18],
])
const DECIMAL_NAMES = new Map([...DECIMAL_SUFFIXES].map(([suffix, exponent]) => [exponent, suffix]))
const BINARY_SUFFIXES = ['', 'Ki', 'Mi', 'Gi', 'Ti', 'Pi', 'Ei']

type Notation = 'binary' | 'decimal' | 'exponent'

interface Parsed {
  /** The value in units of 10⁻⁹. */
  readonly nano: bigint
  readonly notation: Notation
}

const NANO = 10n ** BigInt(NANO_DIGITS)

/** `mantissa` × 10^`exponent`, rounded away from zero to a whole number. */
function scale(mantissa: bigint, exponent: number): bigint {
  if (exponent >= 0) return mantissa * 10n ** BigInt(exponent)
  const divisor = 10n ** BigInt(-exponent)
  return (mantissa + divisor - 1n) / divisor
}

function parse(text: string): Parsed | undefined {
  if (text.length > MAXIMUM_LENGTH) return undefined
  const match = PATTERN.exec(text)
  if (match === null) return undefined
  const [, sign = '', whole = '', fraction = '', suffix = ''] = match
  if (whole === '' && fraction === '') return undefined
  const mantissa = BigInt(`${whole}${fraction}` === '' ? '0' : `${whole}${fraction}`)
  const binary = BINARY_SUFFIXES.indexOf(suffix)
  let notation: Notation = 'decimal'
  let nano: bigint
  if (suffix !== '' && binary > 0) {
    notation = 'binary'
    nano = scale(mantissa * 1024n ** BigInt(binary), NANO_DIGITS - fraction.length)
  } else {
    const named = DECIMAL_SUFFIXES.get(suffix)
    if (named === undefined) notation = 'exponent'
    nano = scale(mantissa, NANO_DIGITS - fraction.length + (named ?? Number(suffix.slice(1))))
  }
  return { nano: sign === '-' ? -nano : nano, notation }
}

function formatDecimal(nano: bigint, exponentNotation: boolean): string {
  if (nano === 0n) return '0'
  let exponent = -NANO_DIGITS
  let mantissa = nano
  while (mantissa % 1000n === 0n && exponent < 18) {
    mantissa /= 1000n
    exponent += 3
  }
  if (exponentNotation) return exponent === 0 ? `${mantissa}` : `${mantissa}e${exponent}`
  return `${mantissa}${DECIMAL_NAMES.get(exponent)}`
}

function formatBinary(whole: bigint): string {
  let mantissa = whole
  let power = 0
  while (mantissa !== 0n && mantissa % 1024n === 0n && power < BINARY_SUFFIXES.length - 1) {
    mantissa /= 1024n
    power += 1
  }
  return `${mantissa}${BINARY_SUFFIXES[power]}`
}

function format({ nano, notation }: Parsed): string {
  const small = nano > -1024n * NANO && nano < 1024n * NANO
  if (notation === 'binary' && !small && nano % NANO === 0n) return formatBinary(nano / NANO)
  return formatDecimal(nano, notation === 'exponent')
}

interface Known {
  readonly canonical: string
  readonly value: number
}

/** The same few quantities come again and again; bounded, because clients choose them. */
const KNOWN_LIMIT = 4096
const known = new Map<string, Known | undefined>()

function lookUp(text: string): Known | undefined {
  if (known.has(text)) return known.get(text)
  const parsed = parse(text)
  const entry =
    parsed === undefined
      ? undefined
      : { canonical: format(parsed), value: Number(parsed.nano) / Number(NANO) }
  if (known.size >= KNOWN_LIMIT) known.clear()
  known.set(text, entry)
  return entry
}

/** The one text that every server writes for this quantity; undefined when `text` is not a quantity. */
export function canonicalQuantity(text: string): string | undefined {
  return lookUp(text)?.canonical
}

/** The value in base units (cores, bytes, pieces); undefined when `text` is not a quantity. */
export function quantityValue(text: string): number | undefined {
  return lookUp(text)?.value
}
