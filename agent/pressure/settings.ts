/** When the host has too little of something: the defaults are the kubelet's, and so are the names in the file that changes them. */
import { readFile } from 'node:fs/promises'
import { type Static, systemErrorCode, Type, validatorOf } from '../../kit/index.ts'
import { parseQuantity } from '../../protocol/kubernetes/index.ts'
import { pressureErrors } from './errors.ts'

/** What can become scarce. `nodefs` has the volumes of pods, `imagefs` what Docker keeps. */
const SIGNALS = [
  'memory.available',
  'nodefs.available',
  'nodefs.inodesFree',
  'imagefs.available',
  'imagefs.inodesFree',
  'pid.available',
] as const

export type Signal = (typeof SIGNALS)[number]

/** So much of it: a number (bytes, inodes, process ids), or a part of what there is in all. */
export type Amount =
  | { readonly kind: 'number'; readonly value: number; readonly text: string }
  | { readonly kind: 'part'; readonly value: number; readonly text: string }

export interface PressureSettings {
  /** Below this, pods are ended. A signal without an amount is not looked at. */
  readonly thresholds: ReadonlyMap<Signal, Amount>
  /** So much more has to be free before it is enough again. */
  readonly reclaim: ReadonlyMap<Signal, Amount>
  /** Milliseconds for which the node says that it lacks something after it last did. */
  readonly transitionPeriod: number
  /** Parts of the file system of images: above the first, images are removed until it is below the second. */
  readonly imagesHigh: number
  readonly imagesLow: number
  /** Milliseconds for which an image stays at least. */
  readonly imageAge: number
}

const amounts = Type.Optional(Type.Record(Type.String(), Type.String({ maxLength: 32 })))
const percent = Type.Optional(Type.Integer({ minimum: 0, maximum: 100 }))
const duration = Type.Optional(Type.String({ pattern: '^([0-9]+(\\.[0-9]+)?(ms|s|m|h))+$', maxLength: 32 }))

const schema = Type.Object(
  {
    evictionHard: amounts,
    evictionMinimumReclaim: amounts,
    evictionPressureTransitionPeriod: duration,
    imageGCHighThresholdPercent: percent,
    imageGCLowThresholdPercent: percent,
    imageMinimumGCAge: duration,
  },
  { additionalProperties: false },
)

const validator = validatorOf(schema)

type Given = Static<typeof schema>

const DEFAULTS = {
  evictionHard: {
    'memory.available': '100Mi',
    'nodefs.available': '10%',
    'nodefs.inodesFree': '5%',
    'imagefs.available': '15%',
    'imagefs.inodesFree': '5%',
  },
  evictionPressureTransitionPeriod: '5m',
  imageGCHighThresholdPercent: 85,
  imageGCLowThresholdPercent: 80,
  imageMinimumGCAge: '2m',
} as const satisfies Given

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 }

/** Milliseconds of `1h30m`. */
function parseDuration(text: string): number {
  let total = 0
  for (const [, amount, unit = ''] of text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g))
    total += Number(amount) * (UNITS[unit] ?? 0)
  return total
}

function parseAmount(text: string): Amount | undefined {
  const part = /^(\d{1,3}(?:\.\d+)?)%$/.exec(text)?.[1]
  const value = part === undefined ? parseQuantity(text) : Number(part) / 100
  if (value === undefined || value < 0 || (part !== undefined && value > 1)) return undefined
  return { kind: part === undefined ? 'number' : 'part', value, text }
}

/** @throws `InvalidSettings` */
function parseAmounts(
  field: string,
  given: Readonly<Record<string, string>>,
  file: string,
): Map<Signal, Amount> {
  const result = new Map<Signal, Amount>()
  for (const [name, text] of Object.entries(given)) {
    const signal = SIGNALS.find(each => each === name)
    const amount = parseAmount(text)
    if (signal === undefined || amount === undefined) {
      throw pressureErrors.InvalidSettings({
        ...{ object: file, field: `${field}.${name}` },
        message:
          signal === undefined ? `there is no signal ${name}` : `${text} is neither an amount nor a part`,
        expected: signal === undefined ? SIGNALS.join(', ') : 'for example 100Mi or 10%',
      })
    }
    // Nothing can be below it.
    if (amount.value > 0) result.set(signal, amount)
  }
  return result
}

/**
 * Completes what a file says.
 *
 * @throws `InvalidSettings`
 */
export function pressureSettings(given: unknown, file: string): PressureSettings {
  let parsed: Given
  try {
    parsed = validator.parse(given, file)
  } catch (cause) {
    throw pressureErrors.InvalidSettings({ object: file, message: String((cause as Error).message), cause })
  }
  const { evictionHard, evictionMinimumReclaim = {}, ...rest } = parsed
  const all = { ...DEFAULTS, ...rest }
  const [imagesHigh, imagesLow] = [
    all.imageGCHighThresholdPercent / 100,
    all.imageGCLowThresholdPercent / 100,
  ]
  if (imagesLow > imagesHigh) {
    throw pressureErrors.InvalidSettings({
      ...{ object: file, field: 'imageGCLowThresholdPercent' },
      message: 'imageGCLowThresholdPercent is above imageGCHighThresholdPercent',
    })
  }
  return {
    thresholds: parseAmounts('evictionHard', { ...DEFAULTS.evictionHard, ...evictionHard }, file),
    reclaim: parseAmounts('evictionMinimumReclaim', evictionMinimumReclaim, file),
    transitionPeriod: parseDuration(all.evictionPressureTransitionPeriod),
    ...{ imagesHigh, imagesLow },
    imageAge: parseDuration(all.imageMinimumGCAge),
  }
}

/** What the file says; the defaults where there is none. @throws `InvalidSettings` */
export async function readPressureSettings(file: string): Promise<PressureSettings> {
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    if (systemErrorCode(error) === 'ENOENT') return pressureSettings({}, file)
    throw error
  }
  let given: unknown
  try {
    given = JSON.parse(text)
  } catch (cause) {
    throw pressureErrors.InvalidSettings({ object: file, message: 'is not JSON', cause })
  }
  return pressureSettings(given, file)
}
