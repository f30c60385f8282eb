/** The webhook of `webhooks.test.ts`: mutates, validates and converts, in a pod. */
import { readFileSync } from 'node:fs'
import { createServer } from 'node:https'

const PORT = 8443

/** ConfigMaps get a label and a note; those that say so are refused. */
function mutate({ object }) {
  const patch = [
    { op: 'add', path: '/metadata/labels', value: { ...object.metadata.labels, mutated: 'yes' } },
    { op: 'add', path: '/data', value: { ...object.data, note: 'by the webhook' } },
  ]
  return {
    allowed: true,
    patchType: 'JSONPatch',
    patch: Buffer.from(JSON.stringify(patch)).toString('base64'),
    warnings: ['the webhook was here'],
  }
}

function validate({ operation, object, oldObject, name }) {
  if (operation === 'CONNECT')
    return { allowed: false, status: { message: `nobody goes into ${name}`, code: 403 } }
  const data = (operation === 'DELETE' ? oldObject : object).data ?? {}
  const isRefused = operation === 'DELETE' ? data.stays !== undefined : data.forbidden !== undefined
  return isRefused ? { allowed: false, status: { message: 'the webhook says no' } } : { allowed: true }
}

/** `address: a:1` in v1 is `host: a` and `port: "1"` in v2. */
function convert({ objects, desiredAPIVersion }) {
  const convertedObjects = objects.map(({ spec, ...rest }) => {
    const { address, host, port, ...others } = spec
    const [before, after] = (address ?? '').split(':')
    const own = desiredAPIVersion.endsWith('/v1')
      ? { address: `${host}:${port}` }
      : { host: before, port: after }
    return { ...rest, apiVersion: desiredAPIVersion, spec: { ...others, ...own } }
  })
  return { result: { status: 'Success' }, convertedObjects }
}

const ANSWERS = { '/mutate': mutate, '/validate': validate, '/convert': convert }

const server = createServer(
  { cert: readFileSync('/tls/tls.crt'), key: readFileSync('/tls/tls.key') },
  async (request, response) => {
    const { pathname } = new URL(request.url, 'https://webhook')
    const answer = ANSWERS[pathname]
    if (answer === undefined) return response.writeHead(pathname === '/healthz' ? 200 : 404).end()
    const chunks = []
    for await (const chunk of request) chunks.push(chunk)
    const { kind, apiVersion, request: asked } = JSON.parse(Buffer.concat(chunks).toString())
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify({ kind, apiVersion, response: { uid: asked.uid, ...answer(asked) } }))
  },
)
server.listen(PORT)
