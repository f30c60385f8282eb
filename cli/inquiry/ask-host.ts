/**
 * Asks the agent of this host what a container would ask it: metadata and names on 169.254.169.250.
 *
 * A program of its own: who asks is told by the network namespace, so `drover metadata get --as` and `drover dns query
 * --as` run it in that of the container. Takes `{"kind":"metadata","path":…}` or `{"kind":"dns","name":…,"type":…}` as
 * its argument; prints the answer, or on standard error why there is none, and then ends with code 1.
 */
import { Resolver } from 'node:dns/promises'
import { request } from 'node:http'
import { Type, validatorOf } from '../../kit/index.ts'
import { METADATA_ADDRESS } from '../../protocol/index.ts'

const DEADLINE = 10_000

const inquiry = validatorOf(
  Type.Union([
    Type.Object({ kind: Type.Literal('metadata'), path: Type.String(), json: Type.Boolean() }),
    Type.Object({ kind: Type.Literal('dns'), name: Type.String(), type: Type.String() }),
  ]),
)

/** @returns status and body */
function get(path: string, json: boolean): Promise<{ status: number; body: string }> {
  return new Promise((resolve, reject) => {
    const headers = { accept: json ? 'application/json' : 'text/plain' }
    const outgoing = request({ host: METADATA_ADDRESS, path, headers, timeout: DEADLINE }, response => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('error', reject)
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString('utf8') }),
      )
    })
    outgoing.on('timeout', () => outgoing.destroy(new Error('no answer in time')))
    outgoing.on('error', reject)
    outgoing.end()
  })
}

function show(record: unknown): string {
  if (typeof record === 'string') return record
  if (Array.isArray(record)) return record.join('')
  const { priority, weight, port, name } = record as Record<string, unknown>
  return port === undefined ? JSON.stringify(record) : `${priority} ${weight} ${port} ${name}`
}

async function resolve(name: string, type: string): Promise<string[]> {
  const resolver = new Resolver({ timeout: DEADLINE / 2, tries: 2 })
  resolver.setServers([METADATA_ADDRESS])
  if (type === 'PTR') return await resolver.reverse(name)
  const answer: unknown = await resolver.resolve(name, type)
  return Array.isArray(answer) ? answer.map(show) : [JSON.stringify(answer)]
}

function fail(text: string): void {
  process.stderr.write(`${text}\n`)
  process.exitCode = 1
}

try {
  const asked = inquiry.parse(JSON.parse(process.argv[2] ?? ''), 'inquiry')
  if (asked.kind === 'metadata') {
    const { status, body } = await get(asked.path, asked.json)
    if (status === 200) process.stdout.write(body.endsWith('\n') ? body : `${body}\n`)
    else fail(`${asked.path}: ${body} (${status})`)
  } else {
    for (const line of await resolve(asked.name, asked.type)) process.stdout.write(`${line}\n`)
  }
} catch (error) {
  fail(error instanceof Error ? error.message : String(error))
}
