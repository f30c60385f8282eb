/** What the backends of a balancer are called. */
import { createHash } from 'node:crypto'
import { BACKEND_NAME } from '../../protocol/index.ts'

/** What a backend is for. */
export interface BackendKey {
  readonly port: number
  readonly host: string
  readonly path: string
}

/** The name that older systems made of a key: several keys may have the same. */
export function oldBackendName({ port, host, path }: BackendKey): string {
  return `${port}_${host}_${path}`.replace(/[^A-Za-z0-9]/g, '_')
}

/** A name that no other key has: `80`, `80_www.example_api-1a2b3c4d`. */
export function backendNameOf(key: BackendKey, wished: string | undefined): string {
  if (wished !== undefined && BACKEND_NAME.test(wished)) return wished
  const { port, host, path } = key
  if (host === '' && path === '') return String(port)
  const readable = `${port}_${host}${path}`.replace(/[^A-Za-z0-9.-]+/g, '_').slice(0, 80)
  const hash = createHash('sha256').update(`${host} ${path}`).digest('hex').slice(0, 8)
  return `${readable.replace(/_+$/, '')}-${hash}`
}
