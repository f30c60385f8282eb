/** Small models for tests. */
import type { Backend, Endpoint, Frontend, HaproxyModel } from '../../../lb/index.ts'

export function endpoint(id: string, port: number, more: Partial<Endpoint> = {}): Endpoint {
  return { id, address: '127.0.0.1', port, weight: 100, ...more }
}

export function backend(name: string, slots: Backend['slots'], more: Partial<Backend> = {}): Backend {
  return { name, mode: 'http', balance: 'roundrobin', slots, ...more }
}

export function frontend(name: string, port: number, more: Partial<Frontend> = {}): Frontend {
  return { name, mode: 'http', binds: [{ address: '127.0.0.1', port }], rules: [], ...more }
}

export function model(more: Partial<HaproxyModel>): HaproxyModel {
  return {
    ...{ frontends: [], backends: [], certificates: [], maps: [], sections: [], global: [] },
    defaults: [
      'timeout connect 1s',
      'timeout client 10s',
      'timeout server 10s',
      'retries 3',
      'option redispatch',
    ],
    ...more,
  }
}
