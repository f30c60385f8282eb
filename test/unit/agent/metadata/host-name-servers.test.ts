/** Which name servers of the host are asked. */
import { rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import t from 'tap'
import { HostNameServers } from '../../../../agent/metadata/index.ts'
import type { Upstream } from '../../../../dns/index.ts'
import { createLogger } from '../../../../kit/index.ts'

t.test('the first file that names one, as it is now', async t => {
  const directory = t.testdir()
  const files = ['etc.conf', 'run.conf'].map(name => path.join(directory, name))
  const [etc = '', run = ''] = files
  await writeFile(etc, 'nameserver 127.0.0.53\n')
  await writeFile(run, 'nameserver 192.0.2.1\nnameserver 192.0.2.2\n')
  const told: string[] = []
  let told1 = Promise.withResolvers<void>()
  let look = () => {}
  const servers = new HostNameServers({
    files,
    onChange: (upstreams: readonly Upstream[]) => {
      told.push(upstreams.map(({ address, port }) => `${address}:${port}`).join(' '))
      told1.resolve()
    },
    log: createLogger('test', 'silent'),
    clock: {
      now: () => 0,
      monotonic: () => 0,
      after: (_milliseconds, callback) => {
        look = callback
        return () => {
          look = () => {}
        }
      },
    },
  })
  const next = async () => {
    told1 = Promise.withResolvers()
    look()
    await told1.promise
  }
  await servers.start()
  t.same(told, ['192.0.2.1:53 192.0.2.2:53'])
  await writeFile(etc, 'nameserver 192.0.2.9\n')
  await next()
  t.equal(told.at(-1), '192.0.2.9:53')
  await rm(etc)
  await rm(run)
  await next()
  t.equal(told.at(-1), '')
  await servers.stop()
})
