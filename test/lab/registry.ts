/**
 * A registry of images on 127.0.0.1 of the host that it is started on: it has the image in DIRECTORY (the content of a `docker save`)
 * under every name and tag that anybody asks for, each with a label of its own.
 *
 *     node test/lab/registry.ts DIRECTORY PORT
 */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import path from 'node:path'
import { gzipSync } from 'node:zlib'

const [, , directory = '', port = ''] = process.argv

const MANIFEST_TYPE = 'application/vnd.docker.distribution.manifest.v2+json'

const [saved] = JSON.parse(readFileSync(path.join(directory, 'manifest.json'), 'utf8')) as [
  { Config: string; Layers: string[] },
]
const config = JSON.parse(readFileSync(path.join(directory, saved.Config), 'utf8')) as {
  config?: Record<string, unknown>
}
const blobs = new Map<string, Buffer>()

function keep(content: Buffer): { digest: string; size: number } {
  const digest = `sha256:${createHash('sha256').update(content).digest('hex')}`
  blobs.set(digest, content)
  return { digest, size: content.length }
}

const layers = saved.Layers.map(layer => ({
  mediaType: 'application/vnd.docker.image.rootfs.diff.tar.gzip',
  ...keep(gzipSync(readFileSync(path.join(directory, layer)))),
}))

function manifestOf(name: string, tag: string): string {
  const labelled = { ...config, config: { ...config.config, Labels: { image: `${name}:${tag}` } } }
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MANIFEST_TYPE,
      config: {
        mediaType: 'application/vnd.docker.container.image.v1+json',
        ...keep(Buffer.from(JSON.stringify(labelled))),
      },
      layers,
    }),
  )
  return keep(manifest).digest
}

createServer((request, response) => {
  const url = request.url ?? ''
  const manifest = /^\/v2\/(.+)\/manifests\/([^/]+)$/.exec(url)
  const blob = /^\/v2\/.+\/blobs\/([^/]+)$/.exec(url)
  const [, name = '', reference = ''] = manifest ?? []
  const digest =
    manifest === null ? blob?.[1] : reference.startsWith('sha256:') ? reference : manifestOf(name, reference)
  const content = digest === undefined ? undefined : blobs.get(digest)
  if (url === '/v2/') response.writeHead(200).end()
  else if (content === undefined || digest === undefined) response.writeHead(404).end()
  else {
    response.writeHead(200, {
      'content-type': manifest === null ? 'application/octet-stream' : MANIFEST_TYPE,
      'content-length': content.length,
      'docker-content-digest': digest,
    })
    response.end(request.method === 'HEAD' ? undefined : content)
  }
}).listen(Number(port), '127.0.0.1')
