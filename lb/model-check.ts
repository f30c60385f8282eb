/** Whether a model can be written into a configuration without saying anything else than it means. */
import { isIP } from 'node:net'
import { lbErrors } from './errors.ts'
import type { Backend, Endpoint, Frontend, HaproxyModel, ServerCheck } from './model.ts'
import { requireInteger, requireName, requireOneLine } from './text.ts'

/** Longest time between two checks, in milliseconds: a day. */
const LONGEST_TIME = 86_400_000
const MOST_SLOTS = 100_000

/** HAProxy reads keys of maps up to a space, and commands up to a semicolon. */
const MAP_WORD = /^[A-Za-z0-9._~:/@%*+,=-]{1,1024}$/

/** Armoured blocks and nothing between them. */
const PEM = /^(?:-----BEGIN [A-Z0-9 ]{1,40}-----\n[A-Za-z0-9+/=\n]+\n-----END [A-Z0-9 ]{1,40}-----\n)+$/

function requireEndpoint(endpoint: Endpoint, object: string): void {
  if (isIP(endpoint.address) === 0) {
    throw lbErrors.InvalidModel({
      object: `${object}, endpoint ${endpoint.id.slice(0, 80)}`,
      expected: 'an IP address',
    })
  }
  requireInteger(endpoint.port, 1, 65_535, `${object}: port`)
  requireInteger(endpoint.weight, 0, 256, `${object}: weight`)
}

function requireCheck(check: ServerCheck, object: string): void {
  if (check.port !== undefined) requireInteger(check.port, 1, 65_535, `${object}: port of the check`)
  requireInteger(check.interval, 1, LONGEST_TIME, `${object}: interval of the check`)
  requireInteger(check.timeout, 1, LONGEST_TIME, `${object}: timeout of the check`)
  requireInteger(check.rise, 1, 1000, `${object}: checks until it is up`)
  requireInteger(check.fall, 1, 1000, `${object}: checks until it is down`)
  const { method, uri, version, headers } = check.request ?? { method: '', uri: '', version: '', headers: [] }
  for (const text of [method, uri, version, ...headers.flat()])
    requireOneLine(text, `${object}: request of the check`)
}

function requireBackend(backend: Backend): void {
  const object = `backend ${requireName(backend.name, 'backend')}`
  requireInteger(backend.slots.length, 0, MOST_SLOTS, `${object}: slots`)
  for (const endpoint of backend.slots) if (endpoint !== undefined) requireEndpoint(endpoint, object)
  if (backend.check !== undefined) requireCheck(backend.check, object)
  const { stickiness } = backend
  if (stickiness !== undefined) {
    for (const text of [stickiness.cookie, stickiness.domain ?? '']) {
      if (!/^[A-Za-z0-9_.-]{0,200}$/.test(text)) {
        throw lbErrors.InvalidModel({ object: `${object}: cookie`, expected: 'letters, digits and _ . -' })
      }
    }
    requireOneLine(stickiness.key, `${object}: key`)
  }
}

function requireFrontend(frontend: Frontend, certificates: ReadonlySet<string>): void {
  const object = `frontend ${requireName(frontend.name, 'frontend')}`
  for (const { address, port, tls } of frontend.binds) {
    if (address !== '*' && isIP(address) === 0) {
      throw lbErrors.InvalidModel({ object: `${object}: address`, expected: 'an IP address, or *' })
    }
    requireInteger(port, 1, 65_535, `${object}: port`)
    const missing = tls?.certificates.find(name => !certificates.has(name))
    if (missing !== undefined) {
      throw lbErrors.InvalidModel({
        object: `${object}: certificate ${missing.slice(0, 80)}`,
        message: 'is not there',
      })
    }
  }
  for (const { host, path } of frontend.rules) {
    requireOneLine(host?.value ?? '', `${object}: host`)
    requireOneLine(path?.value ?? '', `${object}: path`)
    if (host?.value === '' || path?.value === '') {
      throw lbErrors.InvalidModel({
        object: `${object}: rule`,
        expected: 'hosts and paths that are not empty',
      })
    }
  }
}

function requireUnique(names: readonly string[], object: string): ReadonlySet<string> {
  const unique = new Set(names)
  if (unique.size !== names.length) {
    const twice = names.find((name, index) => names.indexOf(name) !== index)
    throw lbErrors.InvalidModel({ object: `${object} ${twice}`, message: 'is there twice' })
  }
  return unique
}

/**
 * Looks at everything that reaches a file or a command.
 *
 * @throws `InvalidModel` naming what is wrong
 */
export function requireModel(model: HaproxyModel): void {
  const backends = requireUnique(
    model.backends.map(({ name }) => name),
    'backend',
  )
  requireUnique(
    model.frontends.map(({ name }) => name),
    'frontend',
  )
  const certificates = requireUnique(
    model.certificates.map(({ name }) => name),
    'certificate',
  )
  const maps = requireUnique(
    model.maps.map(({ name }) => requireName(name, 'map')),
    'map',
  )
  for (const backend of model.backends) requireBackend(backend)
  for (const frontend of model.frontends) {
    requireFrontend(frontend, certificates)
    const used = [...frontend.rules.map(({ backend }) => backend), frontend.defaultBackend]
    const missing = used.find(name => name !== undefined && !backends.has(name))
    if (missing !== undefined) {
      throw lbErrors.InvalidModel({
        object: `frontend ${frontend.name}: backend ${missing}`,
        message: 'is not there',
      })
    }
    if (frontend.hostMap !== undefined && !maps.has(frontend.hostMap)) {
      throw lbErrors.InvalidModel({
        object: `frontend ${frontend.name}: map ${frontend.hostMap}`,
        message: 'is not there',
      })
    }
  }
  for (const { name, pem } of model.certificates) {
    if (!PEM.test(normalizePem(pem))) {
      throw lbErrors.InvalidModel({
        object: `certificate ${name.slice(0, 80)}`,
        expected: 'PEM: certificates and a private key',
      })
    }
  }
  for (const { name, entries } of model.maps) {
    requireUnique(
      entries.map(([key]) => key),
      `map ${name}: key`,
    )
    const wrong = entries.flat().find(word => !MAP_WORD.test(word))
    if (wrong !== undefined) {
      throw lbErrors.InvalidModel({
        object: `map ${name}`,
        expected: `words without spaces; this is ${JSON.stringify(wrong)}`,
      })
    }
  }
}

/** One kind of line end, and no empty lines: in a command one ends the certificate. */
export function normalizePem(pem: string): string {
  return `${pem
    .split(/\r?\n/)
    .map(line => line.trim())
    .filter(line => line !== '')
    .join('\n')}\n`
}
