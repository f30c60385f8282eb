/** The process of a kubelet and its log, with a program that says a lot. */
import { execFileSync } from 'node:child_process'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import t from 'tap'
import { kubeletFiles } from '../../../../agent/kubelet/configuration.ts'
import { type Ended, KubeletProcess } from '../../../../agent/kubelet/kubelet-process.ts'
import { createLogger } from '../../../../kit/index.ts'

t.test('a long log', async t => {
  const directory = await mkdtemp(path.join(tmpdir(), 'drover-kubelet-'))
  t.teardown(() => rm(directory, { recursive: true }))
  const files = kubeletFiles(directory)
  const kubelet = new KubeletProcess(files, createLogger('test', 'silent'))
  const many = 17 * 1024 * 1024
  const ended = Promise.withResolvers<Ended>()
  const script = `head -c ${many} /dev/zero | tr '\\0' 'x'; echo; echo ready; read -r _ < go; echo the last word; exit 3`
  execFileSync('mkfifo', [path.join(directory, 'go')])
  await kubelet.start('/bin/sh', ['-c', `cd '${directory}'; ${script}`], ended.resolve)
  while ((await stat(files.log)).size < many + '\nready\n'.length)
    await new Promise(resolve => setImmediate(resolve))
  await kubelet.turnLog()
  t.ok((await stat(`${files.log}.1`)).size > many, 'what it said is beside it')
  await kubelet.turnLog()
  await writeFile(path.join(directory, 'go'), 'go\n')
  t.match(await ended.promise, { exitCode: 3, words: 'the last word' })
  t.equal(await readFile(files.log, 'utf8'), 'the last word\n', 'and it goes on in the same file')
  await kubelet.end()
})
