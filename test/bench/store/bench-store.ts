/** What the benches of the store share: a store in a directory of its own. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { createLogger } from '../../../kit/index.ts'
import { openStore, type RunningStore, type StoreOptions } from '../../../server/store/index.ts'

export async function inTemporaryDirectory<T>(work: (directory: string) => Promise<T>): Promise<T> {
  const directory = await mkdtemp(path.join(tmpdir(), 'store-bench-'))
  try {
    return await work(directory)
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

export async function withStore<T>(
  options: Partial<StoreOptions>,
  work: (store: RunningStore, file: string) => Promise<T>,
): Promise<T> {
  return await inTemporaryDirectory(async directory => {
    const database = path.join(directory, 'store.db')
    const store = await openStore({ database, log: createLogger('bench', 'error'), ...options })
    try {
      return await work(store, database)
    } finally {
      await store.stop()
    }
  })
}

/** An object of about 1 KiB of JSON that carries its revision, like a Kubernetes object does. */
export function objectOf(name: string, revision: number): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: { name, namespace: 'default', resourceVersion: String(revision) },
    data: { text: 'x'.repeat(900) },
  })
}

/** Bytes of JavaScript heap in use after everything unused is collected. */
export function usedHeap(): number {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  for (let turn = 0; turn < 3; turn += 1) collect()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}
