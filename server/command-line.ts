/** What `drover server` may be told. */
import { Command, InvalidArgumentError } from 'commander'
import { serverErrors } from './errors.ts'

/** In milliseconds. */
const DAY = 86_400_000
/** Longer than people pause, shorter than a meal. In milliseconds. */
const SUSPEND_AFTER = 15 * 60_000
/** Part of the interval over which agents are spread. */
const RENEWAL_SPREAD = 0.1

export interface ServerSettings {
  readonly dataDirectory: string
  readonly port: number
  readonly tlsPort: number
  /** Path of the SQLite file; below the data directory when absent. */
  readonly database: string | undefined
  /** The https URL by which agents reach this server; found out when absent. */
  readonly advertise: string | undefined
  /** How long nobody uses a Kubernetes cluster before it leaves memory; milliseconds. */
  readonly suspendClustersAfter: number
  /** How often agents are sent all metadata anew, and over how long they are spread; milliseconds. */
  readonly metadataRenewal: { readonly interval: number; readonly spread: number }
}

function port(text: string): number {
  const value = Number(text)
  if (!Number.isInteger(value) || value < 0 || value > 65535)
    throw new InvalidArgumentError('expected 0 to 65535')
  return value
}

function duration(text: string): number {
  const match = /^(\d{1,9})(s|m|h|d)$/.exec(text)
  const factor = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }[match?.[2] ?? '']
  if (match === null || factor === undefined || Number(match[1]) === 0) {
    throw new InvalidArgumentError('expected a duration such as 90s, 10m, 12h, 30d')
  }
  return Number(match[1]) * factor
}

function httpsUrl(text: string): string {
  if (!URL.canParse(text) || new URL(text).protocol !== 'https:') {
    throw new InvalidArgumentError('expected an https URL')
  }
  return new URL(text).origin
}

/** @throws `DatabaseUnsupported` */
function databaseFile(text: string | undefined): string | undefined {
  if (text === undefined) return undefined
  const sqlite = /^sqlite:(.+)$/.exec(text)?.[1]
  if (/^(mysql|mariadb):\/\//.test(text)) return text
  if (sqlite === undefined)
    throw serverErrors.DatabaseUnsupported({ object: text.replace(/\/\/.*@/, '//…@') })
  return sqlite
}

/**
 * Reads the command line; ends the process with exit code 2 when it is wrong.
 *
 * @throws `DatabaseUnsupported`
 */
export function parseServerCommandLine(argv: readonly string[]): ServerSettings {
  const command = new Command('drover server')
    .description('Runs a server.')
    .requiredOption('--data <directory>', 'everything that the server keeps')
    .option('--port <port>', 'plain HTTP', port, 8080)
    .option('--tls-port <port>', 'TLS', port, 8443)
    .option(
      '--db <url>',
      'sqlite:PATH (default: in the data directory), or mysql://USER:PASSWORD@HOST/DATABASE',
    )
    .option('--advertise <url>', 'the https URL by which agents reach this server', httpsUrl)
    .option('--metadata-renewal <duration>', 'send agents all metadata anew this often', duration, DAY)
    .option(
      '--suspend-clusters-after <duration>',
      'take Kubernetes clusters that nobody uses out of memory after this long',
      duration,
      SUSPEND_AFTER,
    )
    .exitOverride(error => process.exit(error.exitCode === 0 ? 0 : 2))
    .parse([...argv])
  const options = command.opts<{
    data: string
    port: number
    tlsPort: number
    db?: string
    advertise?: string
    metadataRenewal: number
    suspendClustersAfter: number
  }>()
  return {
    suspendClustersAfter: options.suspendClustersAfter,
    dataDirectory: options.data,
    port: options.port,
    tlsPort: options.tlsPort,
    database: databaseFile(options.db),
    advertise: options.advertise,
    metadataRenewal: {
      interval: options.metadataRenewal,
      spread: Math.floor(options.metadataRenewal * RENEWAL_SPREAD),
    },
  }
}
