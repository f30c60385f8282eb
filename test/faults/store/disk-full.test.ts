/** A full disk: the write is refused with 507, nothing is torn, and with room everything goes on. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import t from 'tap'
import { runCommand } from '../../../kit/index.ts'
import type { DiskFullReport } from './disk-full-writer.ts'

const skip = process.getuid?.() === 0 ? false : 'needs root for a file system of its own'

t.test('a full disk', { skip }, async t => {
  const directory = await mkdtemp(path.join(tmpdir(), 'store-full-'))
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  const writer = path.join(import.meta.dirname, 'disk-full-writer.ts')
  const { stdout } = await runCommand('unshare', [
    ...['--mount', '--propagation', 'private'],
    ...[process.execPath, writer, directory],
  ])
  const report = JSON.parse(stdout) as DiskFullReport
  t.match(report.error, { code: 'WriteFailed', status: 507, mend: /free space/ })
  t.ok(report.written > 0)
  t.equal(report.next, report.written + 1, 'no gap')
  t.equal(report.revision, report.next)
  t.equal(report.objects, report.next)
})
