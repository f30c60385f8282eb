/** Bodies of requests: bounded in size, and in time. */
import { createServer, request } from 'node:http'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { readBody } from '../../../kit/index.ts'

/** What becomes of a body that `send` writes. */
async function reading(
  t: Test,
  bounds: { readonly limit: number; readonly deadline: number },
  send: (outgoing: ReturnType<typeof request>) => void,
): Promise<string> {
  const outcome = Promise.withResolvers<string>()
  const server = createServer((incoming, response) => {
    readBody(incoming, bounds.limit, bounds.deadline).then(
      body => outcome.resolve(`${body.length} bytes`),
      error => outcome.resolve(error.code),
    )
    void outcome.promise.then(() => response.end())
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  const outgoing = request({
    host: '127.0.0.1',
    port: (server.address() as AddressInfo).port,
    method: 'POST',
  })
  outgoing.on('error', () => undefined)
  t.teardown(() => {
    outgoing.destroy()
    server.close()
  })
  send(outgoing)
  return await outcome.promise
}

t.test('a body', async t => {
  const bounds = { limit: 100, deadline: 30_000 }
  t.equal(await reading(t, bounds, outgoing => outgoing.end('x'.repeat(100))), '100 bytes')
  t.equal(await reading(t, bounds, outgoing => outgoing.end('x'.repeat(101))), 'BodyTooLarge')
  const chunks = (outgoing: ReturnType<typeof request>) => {
    for (let count = 0; count < 20; count += 1) outgoing.write('x'.repeat(10))
  }
  t.equal(await reading(t, bounds, chunks), 'BodyTooLarge', 'whatever it announced')
  const slow = (outgoing: ReturnType<typeof request>) => outgoing.write('x')
  t.equal(await reading(t, { ...bounds, deadline: 20 }, slow), 'DeadlineExceeded', 'one that does not end')
})
