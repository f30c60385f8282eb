/** Drover's constructs over a real store, for the tests of this folder. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createLogger } from '../../../kit/index.ts'
import { Model } from '../../../server/model/index.ts'
import { openStore, parseSpaceId } from '../../../server/store/index.ts'

/** A started model without anything in it, and a directory; both are gone when the test ends. */
export async function temporaryModel(test: {
  teardown(work: () => Promise<void>): unknown
}): Promise<{ readonly model: Model; readonly directory: string }> {
  const log = createLogger('test', 'silent')
  const directory = await mkdtemp(path.join(tmpdir(), 'drover-model-'))
  const store = await openStore({ database: path.join(directory, 'db'), log })
  const model = new Model(await store.createSpace(parseSpaceId('system')), log)
  await model.start()
  test.teardown(async () => {
    await store.stop()
    await model.stop()
    await rm(directory, { recursive: true })
  })
  return { model, directory }
}
