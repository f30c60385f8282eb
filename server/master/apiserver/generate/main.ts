/**
 * Writes `../gen/kubernetes-VERSION.json` from the documents that a real API server publishes. The directory of discovery
 * holds a file per group version, or the two aggregated ones of a running server.
 *
 *     node server/master/apiserver/generate/main.ts --swagger FILE --discovery DIR --v3 DIR \
 *       --protobuf FILE --version 1.36
 */
import { readdir, readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { type GeneratorSources, generateTable, renderTable } from './index.ts'

async function readJsonDirectory(directory: string): Promise<ReadonlyMap<string, unknown>> {
  const names = (await readdir(directory)).filter(name => name.endsWith('.json')).sort()
  const documents = await Promise.all(
    names.map(async name => [name, JSON.parse(await readFile(path.join(directory, name), 'utf8'))] as const),
  )
  return new Map(documents)
}

/** Reads the documents that `generateTable` wants. */
export async function readSources(paths: {
  readonly swagger: string
  readonly discovery: string
  readonly v3: string
  readonly protobuf: string
}): Promise<GeneratorSources> {
  return {
    protobuf: JSON.parse(await readFile(paths.protobuf, 'utf8')),
    swagger: JSON.parse(await readFile(paths.swagger, 'utf8')),
    discovery: await readJsonDirectory(paths.discovery),
    v3: [...(await readJsonDirectory(paths.v3)).values()],
  }
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      swagger: { type: 'string' },
      discovery: { type: 'string' },
      v3: { type: 'string' },
      protobuf: { type: 'string' },
      version: { type: 'string' },
    },
  })
  const { swagger, discovery, v3, protobuf, version } = values
  if (
    swagger === undefined ||
    discovery === undefined ||
    v3 === undefined ||
    protobuf === undefined ||
    version === undefined
  ) {
    process.stderr.write(
      'usage: main.ts --swagger FILE --discovery DIR --v3 DIR --protobuf FILE --version MAJOR.MINOR\n',
    )
    process.exitCode = 2
    return
  }
  const text = renderTable(generateTable(version, await readSources({ swagger, discovery, v3, protobuf })))
  const file = path.join(import.meta.dirname, '..', 'gen', `kubernetes-${version}.json`)
  await writeFile(file, text)
  process.stdout.write(`${file}: ${text.length} bytes\n`)
}

if (import.meta.main) await main()
